/** Calls of functions as they stand on the wire: who may, in which order, and how they end. */

import { CALL_FUNCTION, IS_DEAD, MIRROR } from "../../lib/core/constants.ts";
import { HoldfastError } from "../../lib/core/errors.ts";
import { FunctionCalls } from "../../lib/calls/function_calls.ts";
import type { JsonObject } from "../../lib/core/json.ts";
import { LIMITS } from "../../lib/core/limits.ts";
import { openPacked, type Sender } from "../../lib/calls/parcel.ts";
import type { Router } from "../../lib/core/router.ts";
import { decodeValue, encodeValue } from "../../lib/calls/values.ts";
import { Channel } from "../../lib/client/channel.ts";
import { callFunction, endChain, RemoteError } from "../../lib/client/remote_call.ts";
import { assert, assertEquals, assertRejects } from "../support/assert.ts";
import { contextPair } from "../support/context_pair.ts";
import { type Peer, type Star, star, turn } from "../support/fenced_link.ts";
import { test } from "../support/test.ts";

type Exports = Record<string, unknown>;

/** A router that serves one module `m`. */
function serving(exports: Exports, options: { id?: number; parentIds?: number[] } = {}): Star {
  const tree = star(options);
  new FunctionCalls(tree.router, load(exports));
  return tree;
}

function load(exports: Exports): (id: string) => Promise<unknown> {
  return (id) =>
    id === "m"
      ? Promise.resolve(exports)
      : Promise.reject(new HoldfastError("not_found", `there is no module ${id}`));
}

function payload(head: JsonObject, value: unknown): Uint8Array {
  const line = new TextEncoder().encode(JSON.stringify(head) + "\n");
  return new Uint8Array([...line, ...encodeValue(value)]);
}

/** What came back, in order: the handle, and the value or the kind of error. */
function answers({ frames }: Peer): [number, unknown][] {
  return frames.splice(0).filter(({ replyTo }) => replyTo === 0).map(({ handle, payload }) => {
    const { head, body } = openPacked(payload);
    const { kind } = (head.error ?? {}) as JsonObject;
    return [handle, kind ?? decodeValue(body)];
  });
}

function request(peer: Peer, name: string, args: unknown[], options: JsonObject = {}): void {
  const { replyTo = 2000, ...head } = options;
  const body = payload({ module: "m", function: name, ...head }, args);
  peer.send({ handle: CALL_FUNCTION, replyTo: replyTo as number }, body);
}

/** A caller and a context that serves `exports`. */
function pair(exports: Exports) {
  const both = contextPair({ services: {} });
  new FunctionCalls(both.child, load(exports));
  return { ...both, [Symbol.asyncDispose]: () => both[Symbol.asyncDispose]() };
}

interface Options {
  chain?: number;
  signal?: AbortSignal;
}

function call(router: Router, name: string, args: unknown[] = [], options: Options = {}) {
  const locate = (stack: string) => Promise.resolve(stack);
  return callFunction(router, 1, { module: "m", name, args, context: "web1", locate, ...options });
}

test("calls: a child may not, a client and those above may", async () => {
  let ran = 0;
  const exports = { f: () => ++ran };
  await using tree = serving(exports);
  const child = tree.child(5);
  const client = tree.child(6, { privileged: true });
  request(child, "f", []);
  request(client, "f", []);
  await turn();
  assertEquals([answers(child), answers(client)], [[[2000, "refused"]], [[2000, 1]]]);
  await using below = serving(exports, { id: 9, parentIds: [3, 0] });
  const parent = below.parent(3);
  for (const [auth, answer] of [[5, "refused"], [3, 2], [0, 3]]) {
    const body = payload({ module: "m", function: "f" }, []);
    const header = { dst: 9, src: 7, auth: auth as number, handle: CALL_FUNCTION, replyTo: 2000 };
    parent.send(header, body);
    await turn();
    assertEquals(answers(parent), [[2000, answer]]);
  }
});

test("calls: what is no call of ours is dropped, and nothing breaks", async () => {
  await using tree = serving({ f: () => 1 });
  const client = tree.child(6, { privileged: true });
  for (const text of ["", "\n", "[]\n", "{", "{}\n", "{}\n[]", '{"module":1}\nnull\n']) {
    client.send({ handle: CALL_FUNCTION, replyTo: 2000 }, new TextEncoder().encode(text));
    client.send({ handle: CALL_FUNCTION, replyTo: 0 }, new TextEncoder().encode(text));
  }
  await turn();
  client.frames.length = 0;
  request(client, "f", []);
  await turn();
  assertEquals(answers(client), [[2000, 1]]);
});

test("calls: only functions that the module itself exports", async () => {
  await using both = pair({ f: () => 1, value: 2 });
  for (const name of ["value", "toString", "__proto__", "constructor", "hasOwnProperty", ""]) {
    const error = await assertRejects(() => call(both.parent, name), HoldfastError);
    assertEquals([error.kind, error.message], [
      "not_found",
      `web1: Cannot call ${JSON.stringify(name)}: m exports f`,
    ]);
  }
});

test("calls: results and exceptions, large ones too", async () => {
  const large = "x".repeat(3 * LIMITS.framePayload);
  await using both = pair({
    echo: (...args: unknown[]) => args,
    fail: (error: unknown) => Promise.reject(error),
  });
  assertEquals(await call(both.parent, "echo", [1n, large]), [1n, large]);
  const error = await assertRejects(
    () => call(both.parent, "fail", [new TypeError(large)]),
    RemoteError,
  );
  assertEquals([error.name, error.message.length], ["TypeError", large.length]);
  const odd = await assertRejects(() => call(both.parent, "fail", [[1n]]), RemoteError);
  assertEquals(odd.thrown, [1n]);
});

test("calls: an exception that cannot be sent is still told", async () => {
  await using both = pair({
    odd() {
      throw () => {};
    },
    huge() {
      throw new Uint8Array(LIMITS.value + 1);
    },
  });
  const odd = await assertRejects(() => call(both.parent, "odd"), HoldfastError);
  assertEquals([odd.kind, odd.message], ["usage", "web1: Cannot send error: error is a function"]);
  const huge = await assertRejects(() => call(both.parent, "huge"), HoldfastError);
  assertEquals(huge.kind, "limit");
});

test("chain: calls run one after another, and those of another chain beside them", async () => {
  const open: (() => void)[] = [];
  const ran: string[] = [];
  await using tree = serving({
    wait: (name: string) => {
      ran.push(name);
      return new Promise<void>((resolve) => open.push(resolve));
    },
  });
  const client = tree.child(6, { privileged: true });
  request(client, "wait", ["a1"], { chain: 1, replyTo: 2001 });
  request(client, "wait", ["a2"], { chain: 1, replyTo: 2002 });
  request(client, "wait", ["b1"], { chain: 2, replyTo: 2003 });
  request(client, "wait", ["free"], { replyTo: 2004 });
  await turn();
  assertEquals(ran.toSorted(), ["a1", "b1", "free"]);
  open[ran.indexOf("a1")]();
  await turn();
  assertEquals([ran.slice(3), answers(client)], [["a2"], [[2001, undefined]]]);
  for (const resolve of open) resolve();
  await turn();
  assertEquals(answers(client).map(([handle]) => handle).sort(), [2002, 2003, 2004]);
});

test("chain: after a failure the later calls fail with it and do not run", async () => {
  let ran = 0;
  await using both = pair({
    ok: () => ++ran,
    fail: () => Promise.reject(new RangeError("no")),
    unfit: () => () => {},
  });
  const inChain = (name: string, chain: number) => call(both.parent, name, [], { chain });
  assertEquals(await inChain("ok", 1), 1);
  for (const fails of [inChain("fail", 1), inChain("ok", 1), inChain("ok", 1)]) {
    assertEquals((await assertRejects(() => fails, RemoteError)).message, "no");
  }
  assertEquals((await assertRejects(() => inChain("ok", 1), RemoteError)).message, "no");
  assertEquals(await inChain("ok", 2), 2);
  await assertRejects(() => inChain("unfit", 3), HoldfastError);
  await assertRejects(() => inChain("ok", 3), HoldfastError);
  endChain(both.parent, 1, 1);
  assertEquals(await inChain("ok", 1), 3);
});

test("chain: another caller's has the same number and nothing else in common", async () => {
  await using tree = serving({ ok: () => 1, fail: () => Promise.reject(new Error("no")) });
  const one = tree.child(6, { privileged: true });
  const two = tree.child(7, { privileged: true });
  request(one, "fail", [], { chain: 1 });
  request(two, "ok", [], { chain: 1 });
  await turn();
  request(two, "ok", [], { chain: 1, replyTo: 2001 });
  await turn();
  assertEquals([answers(one), answers(two)], [[[2000, "internal"]], [[2000, 1], [2001, 1]]]);
});

/** A function that waits for its signal. */
function waiting() {
  const signals: AbortSignal[] = [];
  const wait = (signal: AbortSignal) => {
    signals.push(signal);
    return new Promise((_, reject) =>
      signal.addEventListener("abort", () => reject(signal.reason))
    );
  };
  return { signals, exports: { wait } };
}

test("cancel: a dead message at the call aborts the function's signal, and no answer follows", async () => {
  const { signals, exports } = waiting();
  await using tree = serving(exports);
  const client = tree.child(6, { privileged: true });
  const line = '{"module":"m","function":"wait"}\n[{"$":["signal"]}]\n';
  client.send({ handle: CALL_FUNCTION, replyTo: 2000 }, new TextEncoder().encode(line));
  await turn();
  assertEquals(signals[0].aborted, false);
  client.send({ handle: 2000 + MIRROR, replyTo: IS_DEAD }, { kind: "cancelled", description: "" });
  await turn();
  assertEquals([signals[0].aborted, answers(client)], [true, []]);
});

test("cancel: a caller that goes away aborts what it called", async () => {
  const { signals, exports } = waiting();
  await using both = pair(exports);
  const lost = call(both.parent, "wait", [new AbortController().signal]);
  await turn();
  both.cut();
  assertEquals((await assertRejects(() => lost, HoldfastError)).kind, "disconnected");
  await turn();
  assertEquals(signals[0].aborted, true);
});

test("cancel: a signal among the arguments, or beside them, rejects with its reason at once", async () => {
  const { signals, exports } = waiting();
  await using both = pair(exports);
  for (const beside of [false, true]) {
    const controller = new AbortController();
    const other = new AbortController().signal;
    const args = beside ? [other] : [controller.signal];
    const lost = call(both.parent, "wait", args, beside ? { signal: controller.signal } : {});
    await turn();
    controller.abort(new RangeError("enough"));
    assertEquals((await assertRejects(() => lost, RangeError)).message, "enough");
    await turn();
    assertEquals(signals.at(-1)!.aborted, true);
  }
  const before = signals.length;
  const late = call(both.parent, "wait", [AbortSignal.abort(new RangeError("before"))]);
  assertEquals((await assertRejects(() => late, RangeError)).message, "before");
  await turn();
  assertEquals(signals.length, before);
});

test("items: an iterable that is given up ends, before its first item too", async () => {
  let ended = 0;
  await using both = pair({
    async *endless() {
      try {
        for (let i = 0;; i++) yield i;
      } finally {
        ended++;
      }
    },
  });
  const endless = async () => await call(both.parent, "endless") as AsyncIterableIterator<number>;
  for await (const i of await endless()) if (i === 3) break;
  await turn();
  assertEquals(ended, 1);
  await (await endless()).return!();
  await turn();
  await turn();
  assertEquals(ended, 2);
});

test("items: those that cannot be sent end the iterable with the reason", async () => {
  await using both = pair({
    async *items() {
      yield 1;
      yield () => {};
    },
  });
  const seen: unknown[] = [];
  const error = await assertRejects(async () => {
    for await (const item of await call(both.parent, "items") as AsyncIterable<unknown>) {
      seen.push(item);
    }
  }, Error);
  assertEquals(seen, [1]);
  assertEquals(error.message, "Cannot send item 1: item 1 is a function");
});

test("items: a signal ends an iterable that was returned", async () => {
  let aborted = false;
  await using both = pair({
    async *ticks(signal: AbortSignal) {
      yield 1;
      await new Promise<void>((resolve) => signal.addEventListener("abort", () => resolve()));
      aborted = true;
    },
  });
  const controller = new AbortController();
  const ticks = await call(both.parent, "ticks", [controller.signal]) as AsyncIterable<number>;
  const error = await assertRejects(async () => {
    for await (const _ of ticks) controller.abort(new RangeError("enough"));
  }, RangeError);
  assertEquals(error.message, "enough");
  await turn();
  assertEquals(aborted, true);
});

test("items: an argument's iterable ends when the function has enough", async () => {
  let ended = 0;
  async function* numbers() {
    try {
      for (let i = 0;; i++) yield i;
    } finally {
      ended++;
    }
  }
  await using both = pair({
    async first(items: AsyncIterable<number>) {
      for await (const item of items) return item;
    },
    ignore: () => "nothing read",
    async *doubled(items: AsyncIterable<number>) {
      for await (const item of items) yield 2 * item;
    },
  });
  assertEquals(await call(both.parent, "first", [numbers()]), 0);
  assertEquals(await call(both.parent, "ignore", [numbers()]), "nothing read");
  await turn();
  await turn();
  assertEquals(ended, 2);
  const doubled = await call(both.parent, "doubled", [numbers()]) as AsyncIterable<number>;
  for await (const item of doubled) if (item === 6) break;
  await turn();
  await turn();
  assertEquals(ended, 3);
});

test("channel: ends when it is closed and its calls have ended, and loses nothing", async () => {
  await using both = pair({
    async events(to: Sender<number>, count: number) {
      for (let i = 0; i < count; i++) await to.send(i);
    },
  });
  const channel = new Channel<number>();
  const calls = [10, 2000].map((count) => call(both.parent, "events", [channel, count]));
  void Promise.all(calls).then(() => channel.close());
  let count = 0;
  for await (const _ of channel) count++;
  assertEquals(count, 2010);
});

test("channel: one that is disposed of tells its senders", async () => {
  let failed: unknown;
  await using both = pair({
    async events(to: Sender<Uint8Array>) {
      try {
        for (;;) await to.send(new Uint8Array(LIMITS.chunk));
      } catch (error) {
        failed = error;
      }
    },
  });
  {
    using channel = new Channel<Uint8Array>();
    void call(both.parent, "events", [channel]).catch(() => {});
    for await (const _ of channel) break;
  }
  for (let i = 0; i < 100 && !failed; i++) await turn();
  assert(failed instanceof HoldfastError);
});

test("calls: one with a value over the limit is refused here", async () => {
  await using both = pair({ f: () => 1 });
  const bytes = new Uint8Array(LIMITS.value + 1);
  const error = await assertRejects(() => call(both.parent, "f", [bytes]), HoldfastError);
  assertEquals(error.kind, "limit");
});
