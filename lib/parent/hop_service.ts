/**
 * Opens hops from inside a context: starts a child by a connection method, sends it this context's own core, and
 * routes to it from then on. Shipped to a context the first time it opens one.
 */
import type { Context, StartServices } from "../core/context.ts";
import { HoldfastError } from "../core/errors.ts";
import type { Json, JsonObject } from "../core/json.ts";
import type { Link } from "../core/link.ts";
import type { Call } from "../core/service.ts";
import { bootstrap } from "./bootstrap.ts";
import { contextTitle, firstStage } from "./first_stage.ts";
import { openHop } from "./open_hop.ts";

/** Arguments of `hop.open`. The reply is `{runtime}`, when the context answers and the route to it is known. */
export interface OpenHopArguments {
  /** Id of the new context. */
  id: number;
  method: string;
  argument?: string;
  /** Whom to be there, for methods whose argument is no user. */
  user?: string;
  /** The stack that the hop ends, in the user's words: `web1,sudo`. */
  name: string;
  /** A handle of the caller that answers questions; see {@linkcode HopQuestion}. */
  ask: number;
  /** Milliseconds until the new context must have answered, questions not counted. */
  deadline: number;
}

/** What is asked at the handle `ask`; the reply is `{ok: string | null}`. */
export interface HopQuestion {
  /** The stack whose hop wants a password. */
  name: string;
  prompt: string;
  /** 1 for the first time. */
  attempt: number;
}

export const start: StartServices = (context) => {
  const hops = new HopService(context);
  return {
    services: {
      hop: { open: { policy: "parents", handle: (args, call) => hops.open(args, call) } },
    },
    close: () => hops.close(),
  };
};

class HopService {
  readonly #context: Context;
  /** Links to children, with their end. */
  readonly #children: Map<Link, Promise<unknown>> = new Map();
  /** Hops that are being opened; they end when the context does. */
  readonly #opening: Set<Promise<unknown>> = new Set();
  readonly #closing = new AbortController();

  constructor(context: Context) {
    this.#context = context;
  }

  async open(args: JsonObject, call: Call): Promise<Json> {
    const opening = this.#open(args, call);
    const settled = opening.catch(() => {});
    this.#opening.add(settled);
    void settled.then(() => this.#opening.delete(settled));
    return await opening;
  }

  async #open(args: JsonObject, call: Call): Promise<Json> {
    // Not AbortSignal.any: node 18 begins without it.
    const stop = new AbortController();
    const { signal } = stop;
    for (const source of [call.signal, this.#closing.signal]) {
      source.addEventListener("abort", () => stop.abort());
      if (source.aborted) stop.abort();
    }
    const { id, method, argument, user, name, ask, deadline } = args as unknown as OpenHopArguments;
    const { router, host, owner, core } = this.#context;
    const line = firstStage(core!.compressed.length, {
      title: contextTitle({ name, owner }),
      alsoTry: host.runtimePath,
    });
    const child = await openHop(host, { method, argument, user, label: name }, {
      line,
      deadline,
      signal,
      ask: async ({ prompt, attempt }) => {
        const question = { name, prompt, attempt };
        const { handle, reply } = router.expectReply(call.src, { signal });
        router.sendJson({ dst: call.src, handle: ask, replyTo: handle }, question);
        const answer = await reply;
        return typeof answer === "string" ? answer : null;
      },
    });
    const started = await bootstrap(router, child, { id, name, owner, core: core!, deadline })
      .catch((error) => {
        throw new HoldfastError(error.kind ?? "bootstrap", `${name}: ${error.message}`);
      });
    this.#children.set(started.link, started.ended);
    void started.ended.then(() => this.#children.delete(started.link));
    if (signal.aborted) started.link.close(null);
    return { runtime: started.runtime };
  }

  /** Ends the children, which end theirs; a detached context keeps them until they end. */
  async close(): Promise<void> {
    if (this.#context.detached) await Promise.all(this.#children.values());
    this.#closing.abort();
    const ends = [...this.#children.values()];
    for (const link of this.#children.keys()) link.close(null);
    await Promise.all([...ends, ...this.#opening]);
  }
}
