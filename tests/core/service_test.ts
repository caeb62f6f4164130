/** Calls of services, their policies and their ends. */

import { CALL_SERVICE, IS_DATA, IS_DEAD, MIRROR } from "../../lib/core/constants.ts";
import { HoldfastError } from "../../lib/core/errors.ts";
import { decodeJson, type Json, type JsonObject } from "../../lib/core/json.ts";
import { LIMITS } from "../../lib/core/limits.ts";
import { type Call, serve, type Service } from "../../lib/core/service.ts";
import { SendStream } from "../../lib/core/stream.ts";
import { assert, assertEquals, assertRejects } from "../support/assert.ts";
import { contextPair } from "../support/context_pair.ts";
import { type Peer, type Star, star, turn } from "../support/fenced_link.ts";
import { test } from "../support/test.ts";

/** Calls that are answered when the test says so. */
interface Pending {
  service: Service;
  calls: { args: JsonObject; call: Call; answer: (value: Json) => void }[];
}

function pending(policy: "parents" | "anyone" = "anyone"): Pending {
  const calls: Pending["calls"] = [];
  const handle = (args: JsonObject, call: Call) =>
    new Promise<Json>((answer) => calls.push({ args, call, answer }));
  return { calls, service: { wait: { policy, handle } } };
}

const echo: Service = {
  back: { policy: "anyone", handle: (args) => args },
  nothing: { policy: "anyone", handle() {} },
  secret: { policy: "parents", handle: () => "secret" },
  fails: {
    policy: "anyone",
    handle() {
      throw new HoldfastError("io", "no such luck");
    },
  },
  breaks: { policy: "anyone", handle: () => Promise.reject(new TypeError("a defect")) },
};

function serving(services: Record<string, Service>): Star {
  const tree = star();
  serve(tree.router, services);
  return tree;
}

/** Sends a call by hand and returns what came back, as `[handle, payload]`. */
async function ask(peer: Peer, request: Json, replyTo = 2000): Promise<[number, JsonObject][]> {
  peer.frames.length = 0;
  peer.send({ handle: CALL_SERVICE, replyTo }, request);
  await turn();
  return peer.frames.map(({ handle, payload }) => [handle, decodeJson(payload)]);
}

const kindOf = (answers: [number, JsonObject][]) =>
  answers.map(([, { error }]) => (error as JsonObject | undefined)?.kind);

test("service: a call resolves with what the method gives, null when it gives nothing", async () => {
  await using pair = contextPair({ services: { echo } });
  const call = (method: string, args?: JsonObject) =>
    pair.parent.call(1, { service: "echo", method, args });
  assertEquals(await call("back", { a: ["ü"] }), { a: ["ü"] });
  assertEquals(await call("back"), {});
  assertEquals(await call("nothing"), null);
});

test("service: a call rejects with what the method throws; anything but ours is internal", async () => {
  await using pair = contextPair({ services: { echo } });
  const fail = (method: string) =>
    assertRejects(() => pair.parent.call(1, { service: "echo", method }), HoldfastError);
  assertEquals((await fail("fails")).toWire(), { kind: "io", description: "no such luck" });
  assertEquals((await fail("breaks")).toWire(), { kind: "internal", description: "a defect" });
});

test("service: an answer given early is the only one, and leaves at once", async () => {
  let go = () => {};
  const until = new Promise<void>((resolve) => go = resolve);
  const early = (ending: () => Json): Service => ({
    now: {
      policy: "anyone",
      async handle(_args, call) {
        call.reply("early");
        await until;
        return ending();
      },
    },
  });
  const fails = () => {
    throw new HoldfastError("io", "too late");
  };
  await using tree = serving({ ends: early(() => "late"), fails: early(fails) });
  const peer = tree.child(5);
  assertEquals(await ask(peer, { service: "ends", method: "now" }), [[2000, { ok: "early" }]]);
  assertEquals(await ask(peer, { service: "fails", method: "now" }, 2001), [
    [2001, { ok: "early" }],
  ]);
  peer.frames.length = 0;
  go();
  await turn();
  assertEquals(peer.frames.length, 0);
});

const names: [unknown, unknown][] = [
  ["echo", "none"],
  ["none", "back"],
  ["__proto__", "toString"],
  ["constructor", "name"],
  ["echo", "__proto__"],
  ["echo", "constructor"],
  ["echo", "toString"],
  ["echo", "hasOwnProperty"],
  ["", ""],
  [undefined, undefined],
  [null, null],
  [["echo"], ["back"]],
  [{ toString: 1 }, "back"],
  [0, 1],
];

for (const [service, method] of names) {
  const what = JSON.stringify([service, method]);
  test(`service: ${what} is no method, and the caller is told`, async () => {
    await using tree = serving({ echo });
    const [[handle, { error }]] = await ask(tree.child(5), { service, method } as JsonObject);
    assertEquals(handle, 2000);
    assert(["no_route", "internal"].includes((error as JsonObject).kind as string));
  });
}

test("service: a name as long as a frame comes back cut", async () => {
  await using tree = serving({ echo });
  const [[, { error }]] = await ask(tree.child(5), { service: "x".repeat(900_000), method: "y" });
  assert(((error as JsonObject).description as string).length < 200);
});

test("policy: parents refuses a child and takes a client, the parent and oneself", async () => {
  await using tree = serving({ echo });
  const secret = { service: "echo", method: "secret" };
  assertEquals(kindOf(await ask(tree.child(5), secret)), ["refused"]);
  assertEquals((await ask(tree.child(9, { privileged: true }), secret))[0][1], { ok: "secret" });
  assertEquals(await tree.router.call(0, secret), "secret");
  await using pair = contextPair({ services: { echo } });
  assertEquals(await pair.parent.call(1, secret), "secret");
});

test("policy: what passes through the parent acts with its own authority, not the parent's", async () => {
  await using tree = star({ id: 9, parentIds: [0] });
  serve(tree.router, { echo });
  const parent = tree.parent(0);
  const secret = { service: "echo", method: "secret" };
  for (
    const [auth, kind] of [[5, "refused"], [7, "refused"], [0, undefined], [9, undefined]] as const
  ) {
    parent.frames.length = 0;
    parent.send({ dst: 9, src: 5, auth, handle: CALL_SERVICE, replyTo: 2000 }, secret);
    await turn();
    assertEquals(kindOf([[0, decodeJson(parent.frames[0].payload)]]), [kind]);
  }
});

for (const replyTo of [0, 110, IS_DATA, IS_DEAD]) {
  test(`service: a call with reply_to ${replyTo} is not carried out`, async () => {
    const waits = pending();
    await using tree = serving({ waits: waits.service });
    assertEquals(await ask(tree.child(5), { service: "waits", method: "wait" }, replyTo), []);
    assertEquals(waits.calls.length, 0);
  });
}

test("service: a call with a mirrored reply_to is refused", async () => {
  const waits = pending();
  await using tree = serving({ waits: waits.service });
  const request = { service: "waits", method: "wait" };
  assertEquals(kindOf(await ask(tree.child(5), request, MIRROR + 2000)), ["protocol"]);
  assertEquals(waits.calls.length, 0);
});

for (const payload of [new Uint8Array(0), new TextEncoder().encode("["), Uint8Array.of(0xff, 0)]) {
  test(`service: a request of the bytes [${payload}] is dropped`, async () => {
    await using tree = serving({ echo });
    const child = tree.child(5);
    child.send({ handle: CALL_SERVICE, replyTo: 2000 }, payload);
    await turn();
    assertEquals(tree.warnings.length, 1);
    assertEquals((await ask(child, { service: "echo", method: "nothing" }))[0][1], { ok: null });
  });
}

test("cancel: aborts the method, rejects the caller, and the late answer is dropped", async () => {
  const waits = pending();
  await using pair = contextPair({ services: { waits: waits.service } });
  const abort = new AbortController();
  const call = pair.parent.call(1, { service: "waits", method: "wait" }, { signal: abort.signal });
  await turn();
  const [{ call: { signal }, answer }] = waits.calls;
  assert(!signal.aborted);
  abort.abort();
  assertEquals((await assertRejects(() => call, HoldfastError)).kind, "cancelled");
  await turn();
  assert(signal.aborted);
  answer("late");
  await turn();
  // The handle is free: a second call is not confused by the first one's answer.
  const second = pair.parent.call(1, { service: "waits", method: "wait" });
  await turn();
  waits.calls[1].answer("second");
  assertEquals(await second, "second");
});

test("cancel: an aborted signal calls nobody", async () => {
  const waits = pending();
  await using pair = contextPair({ services: { waits: waits.service } });
  const request = { service: "waits", method: "wait" };
  await assertRejects(() => pair.parent.call(1, request, { signal: AbortSignal.abort() }));
  await turn();
  assertEquals(waits.calls.length, 0);
});

test("cancel: after the answer does nothing", async () => {
  await using pair = contextPair({ services: { echo } });
  const abort = new AbortController();
  const { signal } = abort;
  assertEquals(await pair.parent.call(1, { service: "echo", method: "nothing" }, { signal }), null);
  abort.abort();
  await turn();
  assertEquals(await pair.parent.call(1, { service: "echo", method: "nothing" }), null);
});

test("cancel: one context cannot cancel another's call", async () => {
  const waits = pending();
  await using tree = serving({ waits: waits.service });
  await ask(tree.child(5), { service: "waits", method: "wait" });
  const other = tree.child(6);
  other.send({ handle: MIRROR + 2000, replyTo: IS_DEAD }, { kind: "cancelled", description: "" });
  await turn();
  assert(!waits.calls[0].call.signal.aborted);
});

test("end: a caller that goes away aborts its calls, and nobody else's", async () => {
  const waits = pending();
  await using tree = serving({ waits: waits.service });
  const child = tree.child(5);
  await ask(child, { service: "waits", method: "wait" });
  await ask(tree.child(6), { service: "waits", method: "wait" });
  child.leave();
  await turn();
  assertEquals(waits.calls.map(({ call }) => call.signal.aborted), [true, false]);
  waits.calls[0].answer("to nobody");
  await turn();
});

test("end: the parent's link aborts the calls of everyone beyond it, streams or not", async () => {
  const waits = pending();
  await using tree = star({ id: 5, parentIds: [0] });
  serve(tree.router, { waits: waits.service });
  const parent = tree.parent(0);
  const request = { service: "waits", method: "wait" };
  parent.send({ dst: 5, src: 9, auth: 0, handle: CALL_SERVICE, replyTo: 2000 }, request);
  await turn();
  parent.leave();
  await turn();
  assertEquals(waits.calls.map(({ call }) => call.signal.aborted), [true]);
});

test("end: a lost link rejects the call above and aborts it below", async () => {
  const waits = pending("parents");
  await using pair = contextPair({ services: { waits: waits.service } });
  const { parent } = pair;
  const call = parent.call(1, { service: "waits", method: "wait" }).catch(() => {});
  await turn();
  pair.cut();
  await call;
  await turn();
  assert(waits.calls[0].call.signal.aborted);
});

test("limits: open calls and streams of one context are bounded together", async () => {
  const waits = pending();
  await using tree = serving({ waits: waits.service, echo });
  const child = tree.child(5);
  const request = { service: "waits", method: "wait" };
  const half = LIMITS.openPerPeer / 2;
  for (let i = 0; i < half; i++) SendStream.accept(tree.router, { peer: 5, id: 10_000 + i });
  for (let i = 0; i < half; i++) child.send({ handle: CALL_SERVICE, replyTo: 2000 + i }, request);
  await turn();
  assertEquals(waits.calls.length, half);
  assertEquals(kindOf(await ask(child, request, 9000)), ["limit"]);
  assertEquals(kindOf(await ask(tree.child(6), { service: "echo", method: "nothing" })), [
    undefined,
  ]);
  waits.calls[0].answer(null);
  await turn();
  await ask(child, request, 9001);
  assertEquals(waits.calls.length, half + 1);
});

test("limits: one reply handle is one call", async () => {
  const waits = pending();
  await using tree = serving({ waits: waits.service });
  const child = tree.child(5);
  const request = { service: "waits", method: "wait" };
  await ask(child, request);
  assertEquals(kindOf(await ask(child, request)), ["protocol"]);
  assertEquals(waits.calls.length, 1);
});

test("limits: ten thousand calls leave nothing behind", async () => {
  await using pair = contextPair({ services: { echo } });
  const request = { service: "echo", method: "nothing" };
  for (let i = 0; i < 10; i++) {
    await Promise.all(Array.from({ length: 1000 }, () => pair.parent.call(1, request)));
  }
});
