/**
 * Opens hops from inside a context: starts a child by a connection method, sends it this context's own core, and
 * routes to it from then on. Shipped to a context the first time it opens one.
 */
import type { Context, StartServices } from "../core/context.ts";
import { HoldfastError, toHoldfastError } from "../core/errors.ts";
import type { Child } from "../core/host.ts";
import type { Json, JsonObject } from "../core/json.ts";
import type { Link } from "../core/link.ts";
import type { Call } from "../core/service.ts";
import { birthGreeting, bootstrap, NoRuntime } from "./bootstrap.ts";
import { CONNECTION_METHODS } from "./connection_methods.ts";
import { detachChild } from "./detach_child.ts";
import { contextTitle, firstStage } from "./first_stage.ts";
import { openHop } from "./open_hop.ts";
import type { provisionHop } from "./provision_service.ts";
import { shellAfter } from "./shell_loop.ts";

/** Arguments of `hop.open`; the reply is {@linkcode HopOpened}. */
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
  /** Give it a runtime when it has none. */
  provision?: boolean;
}

/**
 * The new context answers and the route to it is known; or the hop can be entered, but no core runs there, and its tool
 * has ended.
 */
export type HopOpened = { runtime: string } | { runtime: null; why: string };

/** What is asked at the handle `ask`: for a password, or for a built file. The reply is `{ok: string | null}`. */
export type HopQuestion = PasswordQuestion | {
  /** A target such as `linux-x64`; the answer is where this context has the built file for it. */
  payload: string;
};

interface PasswordQuestion {
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
      hop: {
        open: { policy: "parents", handle: (args, call) => hops.open(args, call) },
        detach: {
          policy: "parents",
          handle: ({ id }) => detachChild(context.router, Number(id)),
        },
      },
    },
    detach: () => hops.detach(),
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
    const { id, method, argument, user, name, ask, deadline, provision } =
      args as unknown as OpenHopArguments;
    const { router, host, owner } = this.#context;
    const core = this.#context.core!;
    const birth = { id, name, owner, core };
    const title = contextTitle({ name, owner });
    const after = core.bytes.length + birthGreeting(router, birth).length;
    const line = firstStage(core, {
      title,
      alsoTry: isProvisioned(host.runtimePath) ? null : host.runtimePath,
      otherwise: provision ? shellAfter(after) : undefined,
    });
    const put = async (question: HopQuestion): Promise<string | null> => {
      const { handle, reply } = router.expectReply(call.src, { signal });
      router.sendJson({ dst: call.src, handle: ask, replyTo: handle }, { ...question });
      const answer = await reply;
      return typeof answer === "string" ? answer : null;
    };
    const child = await openHop(host, { method, argument, user, label: name }, {
      line,
      deadline,
      signal,
      ask: ({ prompt, attempt }) => put({ name, prompt, attempt }),
    });
    const started = await bootstrap(router, child, {
      ...birth,
      deadline,
      signal,
      keepsShell: provision,
    })
      .catch(async (error) => {
        if (!provision || !(error instanceof NoRuntime)) throw error;
        const exports = await this.#context.importer!.load("provision");
        const { provisionHop: run } = exports as { provisionHop: typeof provisionHop };
        const ask = (payload: string) => put({ payload });
        const join = (child: Child, { builtIn }: { builtIn: boolean }) =>
          bootstrap(router, child, { ...birth, deadline, signal, builtIn });
        const { after } = error;
        const fleeting = CONNECTION_METHODS[method].fleeting?.({ argument });
        return await run(child, { host, core, title, after, ask, signal, join, fleeting });
      })
      .catch((error) => {
        const { kind, message } = toHoldfastError(error);
        if (signal.aborted) throw new HoldfastError(kind, `${name}: ${message}`);
        return message;
      });
    if (typeof started === "string") return { runtime: null, why: started } satisfies HopOpened;
    this.#children.set(started.link, started.ended);
    void started.ended.then(() => this.#children.delete(started.link));
    if (signal.aborted) started.link.close(null);
    else if (this.#context.detached) this.#detach(started.link);
    return { runtime: started.runtime } satisfies HopOpened;
  }

  /** Detaches the children, too: each goes on until what it runs has ended. */
  detach(): void {
    for (const link of this.#children.keys()) this.#detach(link);
  }

  #detach({ peer }: Link): void {
    // One that does not answer is not detached.
    detachChild(this.#context.router, peer).catch(() => {});
  }

  /** Ends the children, which end theirs, or go on when they are detached. */
  async close(): Promise<void> {
    this.#closing.abort();
    const ends = [...this.#children.values()];
    for (const link of this.#children.keys()) link.close(null);
    await Promise.all([...ends, ...this.#opening]);
  }
}

/** A runtime that a parent has put in its user's cache: another user has one of his own, or is given one. */
function isProvisioned(path: string | null): boolean {
  return path !== null && /\/holdfast\/[0-9a-f]{64}\/deno$/.test(path);
}
