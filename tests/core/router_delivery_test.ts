/** What becomes of messages that cannot be delivered, and who may speak to a handler. */

import { IS_DATA, IS_DEAD, MIRROR } from "../../lib/core/constants.ts";
import { HoldfastError } from "../../lib/core/errors.ts";
import type { Frame } from "../../lib/core/frame.ts";
import { decodeJson } from "../../lib/core/json.ts";
import { LIMITS } from "../../lib/core/limits.ts";
import { ReceiveStream, SendStream } from "../../lib/core/stream.ts";
import { assertEquals, assertRejects, assertThrows } from "../support/assert.ts";
import { fencedPair, star, turn } from "../support/fenced_link.ts";
import { dead, listener } from "../support/router_watch.ts";
import { test } from "../support/test.ts";

// Dead replies

test("dead reply: says that there is no such context, and comes as from it", async () => {
  await using tree = star();
  const child = tree.child(5);
  child.send({ dst: 99, handle: 1234, replyTo: 1001 });
  await turn();
  const [{ dst, src, auth, handle, replyTo, payload }] = child.frames;
  assertEquals({ dst, src, auth, handle, replyTo }, {
    dst: 5,
    src: 99,
    auth: 0,
    handle: 1001,
    replyTo: IS_DEAD,
  });
  assertEquals(decodeJson(payload), {
    kind: "no_route",
    description: "Cannot deliver message: there is no context 99",
  });
});

const handles: [string, number][] = [
  ["handle 0", 0],
  ["a standard handle that nobody serves", 101],
  ["an unused dynamic handle", 1_000_000],
  ["handle 0xFFFFFFFF", 0xffffffff],
  ["a mirrored standard handle", (MIRROR | 110) >>> 0],
  ["a mirrored handle of nobody", (MIRROR | 1000) >>> 0],
];

for (const [what, handle] of handles) {
  test(`dead reply: says that there is no such handle (${what})`, async () => {
    await using tree = star();
    const child = tree.child(5);
    child.send({ handle, replyTo: 1001 });
    await turn();
    assertEquals(dead(child), [[1001, "no_route"]]);
  });
}

test("dead reply: to stream data goes to the mirrored handle", async () => {
  await using tree = star();
  const child = tree.child(5);
  const mirrored = (MIRROR | 1004) >>> 0;
  child.send({ handle: 1004, replyTo: IS_DATA });
  child.send({ handle: mirrored, replyTo: IS_DATA });
  await turn();
  assertEquals(dead(child), [[mirrored, "no_route"], [1004, "no_route"]]);
});

test("dead reply: none to what can take none", async () => {
  await using tree = star();
  const child = tree.child(5);
  for (const replyTo of [0, 1, 100, 110, 997, IS_DEAD]) {
    child.send({ dst: 99, handle: 1234, replyTo });
    child.send({ handle: 1234, replyTo });
  }
  child.send({ handle: 5, replyTo: IS_DATA }, new Uint8Array(3));
  await turn();
  // The mirror of handle 5 is a dynamic handle of the sender's; nothing waits at it.
  assertEquals(dead(child), [[(MIRROR | 5) >>> 0, "no_route"]]);
});

test("dead reply: is never answered itself, so that two routers cannot go on for ever", async () => {
  const { transports, down } = fencedPair();
  await using tree = star();
  const peer = tree.child(5, { transports });
  const error = { kind: "no_route", description: "" };
  peer.send({ dst: 99, handle: 1, replyTo: 2000 });
  peer.send({ dst: 99, handle: 2000, replyTo: IS_DEAD }, error);
  peer.send({ handle: 2000, replyTo: IS_DEAD }, error);
  peer.send({ handle: MIRROR + 2000, replyTo: IS_DEAD }, error);
  await turn();
  assertEquals(dead(peer), [[2000, "no_route"]]);
  assertEquals(down.written.length, 1);
});

test("dead reply: a call to nobody fails at once, in every router on the way", async () => {
  await using root = star();
  const error = await assertRejects(
    () => root.router.call(99, { service: "a", method: "b" }),
    HoldfastError,
  );
  assertEquals([error.kind, error.message], [
    "no_route",
    "Cannot deliver message: there is no context 99",
  ]);
});

// Handlers

test("handler: takes frames only from the context that it waits for", async () => {
  await using tree = star();
  const child = tree.child(5);
  const other = tree.child(6);
  const heard = listener(5);
  const handle = tree.router.addHandler(heard);
  other.send({ handle, replyTo: 1001 });
  other.send({ handle, replyTo: IS_DEAD }, { kind: "io", description: "forged" });
  await turn();
  assertEquals([heard.frames, heard.errors], [[], []]);
  assertEquals(dead(other), [[1001, "no_route"]]);
  child.send({ handle });
  child.send({ handle, replyTo: IS_DEAD }, { kind: "io", description: "real" });
  await turn();
  assertEquals([heard.frames.length, heard.errors.map((error) => error.message)], [1, ["real"]]);
});

test("handler: a mirrored handle belongs to its context", async () => {
  await using tree = star();
  const child = tree.child(5);
  const other = tree.child(6);
  const heard = listener(5);
  tree.router.addMirror(5, 1000, heard);
  other.send({ handle: MIRROR + 1000, replyTo: IS_DEAD }, { kind: "io", description: "forged" });
  await turn();
  assertEquals(heard.errors, []);
  child.send({ handle: MIRROR + 1000 });
  await turn();
  assertEquals(heard.frames.length, 1);
});

test("handler: a dead message to a standard handle does not remove it", async () => {
  await using tree = star();
  const child = tree.child(5);
  const heard: Frame[] = [];
  tree.router.setStandardHandler(110, (frame) => heard.push(frame));
  child.send({ handle: 110, replyTo: IS_DEAD }, { kind: "io", description: "" });
  child.send({ handle: 110 });
  await turn();
  assertEquals(heard.length, 1);
});

for (
  const [what, payload] of [
    ["no JSON", new TextEncoder().encode("{")],
    ["empty", new Uint8Array(0)],
    ["no object", new TextEncoder().encode("[]")],
    ["of the wrong types", new TextEncoder().encode('{"kind":{"toString":1},"description":7}')],
  ] as const
) {
  test(`handler: a dead message that is ${what} still ends the wait, with kind protocol`, async () => {
    await using tree = star();
    const child = tree.child(5);
    const call = tree.router.call(5, { service: "a", method: "b" });
    await turn();
    child.send({ handle: child.frames[0].replyTo, replyTo: IS_DEAD }, payload);
    const error = await assertRejects(() => call, HoldfastError);
    assertEquals(error.kind, "protocol");
  });
}

for (const handle of [0, 110, 999, MIRROR, MIRROR + 1000, -1, 1000.5, NaN, "1000", null]) {
  test(`handler: a peer cannot name ${JSON.stringify(handle)} ${typeof handle} as its handle`, async () => {
    await using tree = star();
    tree.child(5);
    const at = { peer: 5, id: handle as number };
    const error = assertThrows(() => SendStream.accept(tree.router, at), HoldfastError);
    assertEquals(error.kind, "protocol");
    assertThrows(() => ReceiveStream.accept(tree.router, at), HoldfastError);
  });
}

test("limits: a peer opens at most openPerPeer handles, and gets room again", async () => {
  await using tree = star();
  tree.child(5);
  const open = (handle: number) => tree.router.addMirror(5, handle, listener(5));
  for (let i = 0; i < LIMITS.openPerPeer; i++) open(1000 + i);
  assertEquals(assertThrows(() => open(9000), HoldfastError).kind, "limit");
  assertEquals(assertThrows(() => open(1000), HoldfastError).kind, "limit");
  tree.router.removeMirror(5, 1000);
  open(9000);
  assertEquals(assertThrows(() => open(1001), HoldfastError).kind, "limit");
  tree.router.removeMirror(5, 1002);
  assertEquals(assertThrows(() => open(1001), HoldfastError).kind, "protocol");
});
