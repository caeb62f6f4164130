/**
 * Calls of functions in modules: CALL_FUNCTION. The payload is packed by `parcel.ts`: arguments behind
 * `{module, function, chain?}`, the result behind `{}`, what was thrown behind `{thrown: true, error}`; Holdfast's own
 * failures are `{error}` alone. Shipped with `call_service.ts`.
 */
import { CALL_FUNCTION, FIRST_DYNAMIC_HANDLE } from "../core/constants.ts";
import { HoldfastError, toHoldfastError } from "../core/errors.ts";
import type { Frame } from "../core/frame.ts";
import type { JsonObject } from "../core/json.ts";
import { openPacked, pack, type Packed, unpack } from "./parcel.ts";
import type { Router } from "../core/router.ts";

/** Something that code threw, which need not be an error. */
class Thrown {
  readonly value: unknown;
  constructor(value: unknown) {
    this.value = value;
  }
}

/**
 * - Parents only: a call acts under the authority of this context or of one above it.
 * - Chains: the calls of one run in turn, and after a failure those that follow fail with it and do not run.
 * - Aborted: when the caller cancels, goes away, or gives up an iterable that the call returned.
 */
export class FunctionCalls {
  readonly #router: Router;
  readonly #load: (id: string) => Promise<unknown>;
  /** By caller and number: settles with the last call so far. Those that work and have nothing to do are left out. */
  readonly #chains: Map<string, Promise<void>> = new Map();
  /** Calls that run. */
  readonly #running: Set<Promise<void>> = new Set();

  /** `load` gives a module's exports, and fails with a HoldfastError or what the module threw. */
  constructor(router: Router, load: (id: string) => Promise<unknown>) {
    this.#router = router;
    this.#load = load;
    router.onGone((id) => {
      for (const key of this.#chains.keys()) if (key.startsWith(`${id}:`)) this.#chains.delete(key);
    });
    router.setStandardHandler(CALL_FUNCTION, (frame) => this.#receive(frame));
  }

  /** Resolves when every function that was called has returned, or thrown, whoever still waits for it. */
  async finish(): Promise<void> {
    await Promise.allSettled(this.#running);
  }

  #receive(frame: Frame): void {
    const { head, body } = openPacked(frame.payload);
    if (frame.replyTo >= FIRST_DYNAMIC_HANDLE) {
      const running = this.#answer(frame, { head, body });
      this.#running.add(running);
      void running.finally(() => this.#running.delete(running));
      // A chain that is over.
    } else if (this.#router.hasParentAuthority(frame.auth)) {
      this.#chains.delete(`${frame.src}:${head.chain}`);
    }
  }

  async #answer(
    { src, auth, replyTo }: Frame,
    { head, body }: { head: JsonObject; body: Uint8Array },
  ): Promise<void> {
    const router = this.#router;
    const controller = new AbortController();
    const { signal } = controller;
    const abort = (): void => controller.abort();
    /** Iterables and senders among the arguments: they end with the call, and with what it returns. */
    const ends: (() => unknown)[] = [];
    let reply: Packed;
    try {
      if (!router.hasParentAuthority(auth)) {
        throw new HoldfastError("refused", `calls are not for context ${src}`);
      }
      router.addMirror(src, replyTo, { from: src, onFrame() {}, onDead: abort });
      try {
        const args = unpack(router, { head, body }, {
          peer: src,
          signal,
          onItems: (stream) => ends.push(() => stream.cancel()),
          onSender: (sender) => ends.push(() => sender.close().catch(() => {})),
        });
        args.catch(() => {});
        const run = async (): Promise<Packed> => {
          const list = await args as unknown[];
          if (signal.aborted) throw new HoldfastError("cancelled", "the call was given up");
          const value = await this.#run(head, list);
          return pack(router, { head: {}, value }, { peer: src, name: "result", onGivenUp: abort });
        };
        const { chain } = head;
        reply = await (chain === undefined ? run() : this.#inTurn(`${src}:${chain}`, run));
      } finally {
        if (!signal.aborted) router.removeMirror(src, replyTo);
      }
    } catch (error) {
      reply = packFailure(router, error, src);
    }
    try {
      if (signal.aborted) reply.drop(new HoldfastError("cancelled", "the call was given up"));
      else {
        router.send({ dst: src, handle: replyTo, replyTo: 0 }, reply.payload);
        await reply.start();
      }
    } finally {
      for (const end of ends) end();
    }
  }

  /** After the calls before it. */
  async #inTurn(key: string, run: () => Promise<Packed>): Promise<Packed> {
    const before = this.#chains.get(key) ?? Promise.resolve();
    const result = before.then(run);
    const tail = result.then(() => {});
    this.#chains.set(key, tail);
    tail.then(() => {
      if (this.#chains.get(key) === tail) this.#chains.delete(key);
    }, () => {});
    return await result;
  }

  async #run({ module, function: name }: JsonObject, args: unknown[]): Promise<unknown> {
    const id = String(module);
    const exports = await this.#exports(id);
    const call = Object.hasOwn(exports, String(name)) ? exports[String(name)] : undefined;
    if (typeof call !== "function") {
      const known = Object.keys(exports).filter((name) => typeof exports[name] === "function");
      throw new HoldfastError(
        "not_found",
        `Cannot call ${JSON.stringify(name)}: ${id} exports ${known.join(", ") || "no function"}`,
      );
    }
    try {
      return await call(...args);
    } catch (error) {
      throw new Thrown(error);
    }
  }

  async #exports(id: string): Promise<Record<string, unknown>> {
    try {
      return await this.#load(id) as Record<string, unknown>;
    } catch (error) {
      if (error instanceof HoldfastError) throw error;
      const cause = error instanceof Error ? error : new Error(String(error));
      const told = new Error(`Cannot load ${id}: ${cause.message}`, { cause });
      told.stack = cause.stack;
      throw new Thrown(told);
    }
  }
}

/** What was thrown travels as it is, where it can; Holdfast's own failures as a wire error alone. */
function packFailure(router: Router, error: unknown, peer: number): Packed {
  const thrown = error instanceof Thrown;
  const { kind, message } = toHoldfastError(thrown ? error.value : error);
  const head = { thrown, error: { kind, description: message.slice(0, 1000) } };
  try {
    return pack(router, { head, value: thrown ? error.value : null }, { peer, name: "error" });
  } catch (unfit) {
    if (!thrown) throw unfit;
    return packFailure(router, unfit, peer);
  }
}
