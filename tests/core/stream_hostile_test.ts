/** Streams whose other end is hostile and sends whatever it likes. */

import { IS_DATA, IS_DEAD, MIRROR } from "../../lib/core/constants.ts";
import { HoldfastError } from "../../lib/core/errors.ts";
import type { Json } from "../../lib/core/json.ts";
import { LIMITS } from "../../lib/core/limits.ts";
import { ReceiveStream, SendStream } from "../../lib/core/stream.ts";
import { assert, assertEquals, assertRejects } from "../support/assert.ts";
import { star, turn } from "../support/fenced_link.ts";
import { bytes, drain, io, settled } from "../support/stream_ends.ts";
import { test } from "../support/test.ts";

function hostile() {
  const tree = star();
  const peer = tree.child(5);
  const data = (handle: number, size: number) =>
    peer.send({ handle, replyTo: IS_DATA }, new Uint8Array(size));
  const control = (handle: number, value: Json) => peer.send({ handle }, value);
  const end = { kind: "io", description: "forged" };
  return {
    tree,
    peer,
    data,
    control,
    end,
    [Symbol.asyncDispose]: () => tree[Symbol.asyncDispose](),
  };
}

test("stream: a sender that overruns its credit is cut off, and the reader is told why", async () => {
  await using enemy = hostile();
  const stream = ReceiveStream.open(enemy.tree.router, 5);
  const reading = stream.read();
  enemy.data(stream.id, LIMITS.window);
  await turn();
  enemy.data(stream.id, LIMITS.chunk);
  enemy.data(stream.id, 1);
  await turn();
  assertEquals((await reading)?.length, LIMITS.window);
  // The first read gave a quarter back, so that one chunk more was within the credit.
  const cutOff = ReceiveStream.open(enemy.tree.router, 5);
  enemy.data(cutOff.id, LIMITS.window);
  enemy.data(cutOff.id, 1);
  await turn();
  assertEquals((await assertRejects(() => cutOff.read(), HoldfastError)).kind, "limit");
  const dead = enemy.peer.frames.filter(({ replyTo, handle }) =>
    replyTo === IS_DEAD && handle === cutOff.id + MIRROR
  );
  assertEquals(dead.length, 1);
});

test("stream: data after the end goes nowhere", async () => {
  await using enemy = hostile();
  const stream = ReceiveStream.open(enemy.tree.router, 5);
  enemy.data(stream.id, 3);
  enemy.data(stream.id, 0);
  enemy.data(stream.id, 4);
  enemy.data(stream.id, 0);
  await turn();
  assertEquals([await drain(stream), await stream.read()], [3, null]);
});

for (const credit of [0, -1, 0.5, 1e-9, "9", null, true, [1], { valueOf: 1 }]) {
  test(`stream: a credit of ${JSON.stringify(credit)} is none`, async () => {
    await using enemy = hostile();
    const stream = SendStream.open(enemy.tree.router, 5);
    const writing = stream.write(new Uint8Array(LIMITS.window + 1));
    await turn();
    const sent = () => enemy.peer.frames.filter(({ replyTo }) => replyTo === IS_DATA);
    const before = sent().length;
    enemy.control(stream.id, { credit });
    assert(!await settled(writing));
    assertEquals(sent().length, before);
    enemy.control(stream.id, { credit: 1 });
    await writing;
  });
}

test("stream: no credit makes a sender send more than the largest window", async () => {
  await using enemy = hostile();
  const stream = SendStream.open(enemy.tree.router, 5);
  for (let i = 0; i < 100; i++) {
    enemy.peer.send({ handle: stream.id }, new TextEncoder().encode('{"credit":1e300}'));
    enemy.peer.send({ handle: stream.id }, new TextEncoder().encode('{"credit":1e999}'));
  }
  await turn();
  const writing = stream.write(new Uint8Array(4 * LIMITS.maxWindow));
  assert(!await settled(writing));
  const sent = enemy.peer.frames.reduce((sum, { payload }) => sum + payload.length, 0);
  assertEquals(sent, LIMITS.maxWindow);
  stream.abort(io("enough"));
  await assertRejects(() => writing);
});

for (const payload of ["", "{", "[]", '{"credit":{}}']) {
  test(`stream: a credit message of ${JSON.stringify(payload)} is dropped and the stream lives`, async () => {
    await using enemy = hostile();
    const stream = SendStream.open(enemy.tree.router, 5);
    enemy.peer.send({ handle: stream.id }, new TextEncoder().encode(payload));
    await turn();
    await stream.write(bytes(3));
    await turn();
    assertEquals(enemy.peer.frames.at(-1)?.payload.length, 3);
  });
}

test("stream: another context cannot end, feed or credit it", async () => {
  await using enemy = hostile();
  const other = enemy.tree.child(6);
  const { router } = enemy.tree;
  const read = ReceiveStream.open(router, 5);
  const write = SendStream.accept(router, { peer: 5, id: 4000 });
  for (const handle of [read.id, MIRROR + 4000]) {
    other.send({ handle, replyTo: IS_DEAD }, enemy.end);
    other.send({ handle, replyTo: IS_DATA }, bytes(3));
    other.send({ handle }, { credit: 5 });
  }
  await turn();
  enemy.data(read.id, 2);
  await turn();
  assertEquals((await read.read())?.length, 2);
  await write.write(bytes(1));
});
