/**
 * Calls of functions in modules (CALL_FUNCTION), and what such code prints. Shipped to a context before its first
 * call. The payload is packed by `parcel.ts`: arguments behind `{module, function, chain?}`, the result behind `{}`,
 * what was thrown behind `{thrown: true, error}`; Holdfast's own failures are `{error}`.
 */
import { builtin } from "./builtin.ts";
import { CALL_FUNCTION, FIRST_DYNAMIC_HANDLE, FORWARD_LOG } from "./constants.ts";
import type { Context, StartServices } from "./context.ts";
import { HoldfastError, toHoldfastError } from "./errors.ts";
import type { Frame } from "./frame.ts";
import type { JsonObject } from "./json.ts";
import { openPacked, pack, type Packed, unpack } from "./parcel.ts";
import type { Router } from "./router.ts";

export const start: StartServices = (context) => {
  const calls = new FunctionCalls(context);
  context.router.setStandardHandler(CALL_FUNCTION, (frame) => calls.receive(frame));
  forwardOutput(context);
  return { services: {} };
};

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
class FunctionCalls {
  readonly #context: Context;
  /** By caller and number: settles with the last call so far. Those that work and have nothing to do are left out. */
  readonly #chains: Map<string, Promise<void>> = new Map();

  constructor(context: Context) {
    this.#context = context;
    context.router.onGone((id) => {
      for (const key of this.#chains.keys()) if (key.startsWith(`${id}:`)) this.#chains.delete(key);
    });
  }

  receive(frame: Frame): void {
    const { head, body } = openPacked(frame.payload);
    if (frame.replyTo >= FIRST_DYNAMIC_HANDLE) void this.#answer(frame, { head, body });
    // A chain that is over.
    else if (this.#context.router.hasParentAuthority(frame.auth)) {
      this.#chains.delete(`${frame.src}:${head.chain}`);
    }
  }

  async #answer(
    { src, auth, replyTo }: Frame,
    { head, body }: { head: JsonObject; body: Uint8Array },
  ): Promise<void> {
    const { router } = this.#context;
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
    if (signal.aborted) reply.drop(new HoldfastError("cancelled", "the call was given up"));
    else {
      router.send({ dst: src, handle: replyTo, replyTo: 0 }, reply.payload);
      await reply.start();
    }
    for (const end of ends) end();
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
    const exports = await this.#load(id);
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

  async #load(id: string): Promise<Record<string, unknown>> {
    try {
      return await this.#context.importer!.load(id) as Record<string, unknown>;
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

/**
 * What code prints, and what it fails with when nobody waits, goes to the root's log. Its standard output is the link:
 * nothing else may be written there.
 */
function forwardOutput({ router }: Context): void {
  const root = router.parentIds.at(-1)!;
  const { format, inspect } = builtin("node:util") as typeof import("node:util");
  const say = (level: string, text: string): void =>
    router.sendJson({ dst: root, handle: FORWARD_LOG, replyTo: 0 }, {
      level,
      text: text.slice(0, 16 * 1024),
    });
  // deno-lint-ignore no-explicit-any
  const target = console as any;
  for (const name of Object.keys(console)) {
    if (typeof target[name] !== "function") continue;
    const level = name === "debug"
      ? name
      : /^(warn|error|trace|assert)$/.test(name)
      ? "warn"
      : "info";
    target[name] = (...args: unknown[]): void => {
      if (name !== "assert" || !args.shift()) say(level, format(...args));
    };
  }
  // deno-lint-ignore no-explicit-any
  const { process } = globalThis as any;
  const { Writable } = builtin("node:stream") as typeof import("node:stream");
  const stdout = new Writable({
    write(chunk, _encoding, done) {
      say("info", String(chunk).trimEnd());
      done();
    },
  });
  Object.defineProperty(process, "stdout", { value: stdout, configurable: true });
  for (const event of ["uncaughtException", "unhandledRejection"]) {
    process.on(event, (error: unknown) => say("warn", `uncaught: ${inspect(error)}`));
  }
}
