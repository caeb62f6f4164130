/** Calls a function of a module in a context, as the caller sees it. Used by `remote_context.ts`. */
import { CALL_FUNCTION, MIRROR } from "../core/constants.ts";
import { type ErrorKind, HoldfastError } from "../core/errors.ts";
import type { JsonObject } from "../core/json.ts";
import { openPacked, pack, unpack } from "../calls/parcel.ts";
import { printable } from "../core/printable.ts";
import type { Router } from "../core/router.ts";
import type { ReceiveStream } from "../core/stream.ts";

/** What a function threw in a context: its name, message and cause, and its stack with positions in your own source. */
export class RemoteError extends Error {
  /** The context's stack of hops: `web1,sudo`. */
  readonly context: string;
  /** What was thrown, as it was sent: with the fields of its own that could be, or no error at all. */
  readonly thrown!: unknown;

  constructor(thrown: unknown, { context, stack }: { context: string; stack: string }) {
    const error = thrown instanceof Error ? thrown : null;
    const message = error ? error.message : `it threw ${printable(String(thrown))}`;
    const { cause } = error ?? {};
    super(printable(message, { multiline: true }), cause === undefined ? {} : { cause });
    this.name = error ? printable(error.name) : "RemoteError";
    this.context = context;
    Object.defineProperty(this, "thrown", { value: thrown });
    const local = this.stack?.slice(this.stack.indexOf("\n    at ") + 1) ?? "";
    const remote = stack || `${this.name}: ${this.message}`;
    this.stack = `${printable(remote, { multiline: true })}\n    in ${context}\n${local}`;
  }
}

/** Characters of a remote stack that are kept. */
const STACK = 64 * 1024;

export interface CallRequest {
  /** The module's id, from `module.provide`. */
  module: string;
  name: string;
  args: readonly unknown[];
  /** Number of a chain of this client. */
  chain?: number;
  /** Gives the call up, there too. */
  signal?: AbortSignal;
  /** The context's stack of hops, for errors. */
  context: string;
  /** Puts places in sources into a stack. */
  locate: (stack: string) => Promise<string>;
}

/**
 * Sends the call before it returns; resolves with the result.
 *
 * @throws {RemoteError} when the function threw
 * @throws {HoldfastError} when it was not called, or its result cannot be had
 */
export async function callFunction(
  router: Router,
  peer: number,
  { module, name, args, chain, signal, context, locate }: CallRequest,
): Promise<unknown> {
  const signals = signal ? [signal] : [];
  const head: JsonObject = { module, function: name, ...chain === undefined ? {} : { chain } };
  const packed = pack(router, { head, value: [...args] }, {
    peer,
    name: "arguments",
    onSignal: (each) => signals.push(each),
  });
  const aborted = signals.find((each) => each.aborted);
  if (aborted) {
    packed.drop(new HoldfastError("cancelled", "it was given up"));
    throw aborted.reason;
  }
  /** Iterables of the result end with the signals, too. */
  const items: ReceiveStream[] = [];
  let waiting = true;
  const { promise, resolve, reject } = Promise.withResolvers<() => Promise<unknown>>();
  const handle = router.addHandler({
    from: peer,
    onFrame: ({ payload }) => {
      waiting = false;
      router.removeHandler(handle);
      try {
        const opened = openPacked(payload);
        const value = unpack(router, opened, {
          peer,
          onItems: (stream) => items.push(stream),
        });
        value.catch(() => {});
        resolve(() => outcome(opened.head, value));
      } catch (error) {
        reject(error);
      }
    },
    onDead: reject,
  });
  const onAbort = ({ target }: Event): void => {
    const { reason } = target as AbortSignal;
    const error = new HoldfastError("cancelled", "the caller gave up");
    for (const stream of items) {
      stream.fail(reason);
      router.sendDead(peer, stream.id, error);
    }
    if (!waiting) return;
    router.removeHandler(handle);
    router.sendDead(peer, handle + MIRROR, error);
    reject(reason);
  };
  for (const each of signals) each.addEventListener("abort", onAbort);
  router.send({ dst: peer, handle: CALL_FUNCTION, replyTo: handle }, packed.payload);
  packed.start();

  async function outcome(head: JsonObject, value: Promise<unknown>): Promise<unknown> {
    const error = head.error as { kind: ErrorKind; description: string } | undefined;
    if (!error) return await value;
    if (!head.thrown) throw new HoldfastError(error.kind, `${context}: ${error.description}`);
    const thrown = await value;
    const told = thrown instanceof Error ? thrown.stack ?? "" : "";
    const stack = await locate(told.slice(0, STACK)).catch(() => "");
    throw new RemoteError(thrown, { context, stack });
  }

  try {
    return await (await promise)();
  } finally {
    // With iterables the signals still count.
    if (items.length === 0) {
      for (const each of signals) each.removeEventListener("abort", onAbort);
    }
  }
}

/** Lets the context forget a chain. */
export function endChain(router: Router, peer: number, chain: number): void {
  const { payload } = pack(router, { head: { chain }, value: null }, { peer, name: "chain" });
  router.send({ dst: peer, handle: CALL_FUNCTION, replyTo: 0 }, payload);
}
