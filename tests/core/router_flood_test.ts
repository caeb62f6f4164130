/** What a hostile child can make a router keep in memory: no more than the limits say. */

import { IS_DATA, MIRROR } from "../../lib/core/constants.ts";
import { LIMITS } from "../../lib/core/limits.ts";
import { assert, assertEquals } from "../support/assert.ts";
import { fencedPair, star, turn } from "../support/fenced_link.ts";
import { dead } from "../support/router_watch.ts";
import { test } from "../support/test.ts";

test("flood: a child cannot make a client that stands still cost more than the limit", async () => {
  const { transports, down } = fencedPair();
  await using tree = star();
  const child = tree.child(5);
  const client = tree.child(9, { privileged: true, transports });
  client.send({ dst: 5, handle: 1234 });
  await turn();
  down.close();
  const payload = new Uint8Array(LIMITS.framePayload);
  for (let i = 0; i < 100; i++) child.send({ dst: 9, handle: 2000 + i, replyTo: IS_DATA }, payload);
  for (let i = 0; i < 40; i++) child.send({ dst: 9, handle: 2000, replyTo: 0 }, payload);
  await turn();
  const slack = 4 * payload.length;
  assert(
    client.link.queued < LIMITS.queuedBulk + LIMITS.queuedControl + slack,
    `${client.link.queued}`,
  );
  // What was refused is told to the sender.
  assert(dead(child).some(([, kind]) => kind === "limit"));
});

test("flood: another's messages still have room", async () => {
  const { transports, down } = fencedPair();
  await using tree = star();
  const child = tree.child(5);
  const other = tree.child(6);
  const client = tree.child(9, { privileged: true, transports });
  client.send({ dst: 5, handle: 1234 });
  client.send({ dst: 6, handle: 1234 });
  await turn();
  down.close();
  const payload = new Uint8Array(LIMITS.framePayload);
  for (let i = 0; i < 40; i++) {
    child.send({ dst: 9, handle: 2000, replyTo: 0 }, payload);
    await turn();
  }
  other.send({ dst: 9, handle: 3000, replyTo: 0 });
  await turn();
  down.open();
  await turn();
  assertEquals(client.frames.filter(({ src }) => src === 6).length, 1);
});

test("flood: dead replies that a child does not read are bounded", async () => {
  const { transports, down } = fencedPair();
  await using tree = star();
  const child = tree.child(5, { transports });
  down.close();
  for (let i = 0; i < 160_000; i++) child.send({ dst: 1000 + i, handle: 1, replyTo: 1001 });
  await turn();
  assert(child.link.queued < LIMITS.queuedControl + LIMITS.framePayload, `${child.link.queued}`);
});

test("flood: a stream whose data was refused is ended at both ends", async () => {
  const { transports, down } = fencedPair();
  await using tree = star();
  const child = tree.child(5);
  const client = tree.child(9, { privileged: true, transports });
  client.send({ dst: 5, handle: 1234 });
  await turn();
  down.close();
  const payload = new Uint8Array(LIMITS.framePayload);
  for (let i = 0; i < 20; i++) {
    child.send({ dst: 9, handle: 2000, replyTo: IS_DATA }, payload);
    await turn();
  }
  down.open();
  await turn();
  assert(dead(client).some(([handle, kind]) => handle === 2000 && kind === "limit"));
  assert(dead(child).some(([handle, kind]) => handle === MIRROR + 2000 && kind === "limit"));
});
