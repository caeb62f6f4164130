/** Links and contexts that go: what waits for them ends, and who is told by DEL_ROUTE. */

import { DEL_ROUTE, MIRROR } from "../../lib/core/constants.ts";
import { HoldfastError } from "../../lib/core/errors.ts";
import { decodeJson, type JsonObject } from "../../lib/core/json.ts";
import { Link } from "../../lib/core/link.ts";
import type { Router } from "../../lib/core/router.ts";
import { ReceiveStream, SendStream } from "../../lib/core/stream.ts";
import { assert, assertEquals } from "../support/assert.ts";
import { fencedPair, star, turn } from "../support/fenced_link.ts";
import { dead, type Listener, listener, reaches } from "../support/router_watch.ts";
import { test } from "../support/test.ts";

// Ends

test("link loss: every call and stream of the whole tree behind it fails once", async () => {
  await using tree = star();
  const { router } = tree;
  const child = tree.child(5);
  router.addRoute(7, child.link);
  const waits: Record<number, Listener> = { 5: listener(5), 7: listener(7) };
  const handles = [5, 7].map((id) => router.addHandler(waits[id]));
  const mirrors = [listener(5), listener(7)];
  router.addMirror(5, 1000, mirrors[0]);
  router.addMirror(7, 1000, mirrors[1]);
  const calls = [5, 7].map((id) => router.call(id, { service: "a", method: "b" }).catch((e) => e));
  const read = ReceiveStream.open(router, 7);
  const write = SendStream.open(router, 7);
  const reading = read.read().catch((error) => error);
  const gone: number[] = [];
  router.onGone((id) => gone.push(id));
  child.leave();
  for (const error of [...await Promise.all(calls), await reading, await write.ended]) {
    assertEquals(error.kind, "disconnected");
  }
  const all = [...Object.values(waits), ...mirrors];
  assertEquals(all.map(({ errors }) => errors.length), [1, 1, 1, 1]);
  assertEquals(gone, [5, 7]);
  assertEquals([router.linkOf(5), router.linkOf(7)], [undefined, undefined]);
  // Nothing is left: the same handles are nobody's, also for a new context of those ids.
  const again = tree.child(5);
  for (const handle of [...handles, MIRROR + 1000]) again.send({ handle, replyTo: 1001 });
  await turn();
  assertEquals(dead(again).map(([, kind]) => kind), ["no_route", "no_route", "no_route"]);
});

test("link loss: the parent's ends what waits for anyone above or beyond", async () => {
  await using tree = star({ id: 5, parentIds: [0] });
  const parent = tree.parent(0);
  const child = tree.child(7);
  const call = tree.router.call(99, { service: "a", method: "b" }).catch((error) => error);
  const mirror = listener(98);
  tree.router.addMirror(98, 1000, mirror);
  const below = listener(7);
  tree.router.addHandler(below);
  await turn();
  parent.leave();
  assertEquals((await call).kind, "disconnected");
  assertEquals([mirror.errors.length, below.errors.length], [1, 0]);
  assertEquals(dead(child), []);
});

test("link loss: a hundred contexts come and go and leave nothing", async () => {
  await using tree = star();
  const { router } = tree;
  const client = tree.child(9, { privileged: true });
  for (let id = 10; id < 110; id++) {
    const child = tree.child(id);
    client.send({ dst: id, handle: 1234 });
    child.send({ dst: 9, handle: 1234 });
    await turn();
    child.send({ dst: 9, handle: 1234 });
    await turn();
    assert(client.link.introduced.has(id));
    child.leave();
    await turn();
    assertEquals(router.linkOf(id), undefined);
  }
  assertEquals(client.link.introduced.size, 0);
});

test("link: one that was closed before it ran still tells its end", async () => {
  await using tree = star();
  const { router } = tree;
  const { transports } = fencedPair();
  const link = new Link(5, transports[0]);
  router.addRoute(5, link);
  link.close(null);
  await link.run({
    onFrame() {},
    onClose: () => router.removeLink(link, new HoldfastError("disconnected", "gone")),
  });
  assertEquals(router.linkOf(5), undefined);
});

// DEL_ROUTE

async function waiting(router: Router, id: number): Promise<Listener> {
  const wait = listener(id);
  router.addHandler(wait);
  await turn();
  return wait;
}

const lost = (ids: unknown) => ({ ids, kind: "disconnected", description: "lost" }) as JsonObject;

test("DEL_ROUTE: a client gone is told to the contexts that it spoke to, and to no other", async () => {
  await using tree = star();
  const spoken = tree.child(5);
  const other = tree.child(6);
  const client = tree.child(9, { privileged: true });
  await reaches(client, spoken);
  spoken.frames.length = 0;
  client.leave();
  await turn();
  assertEquals(spoken.frames.map(({ handle, src, auth }) => [handle, src, auth]), [[
    DEL_ROUTE,
    0,
    0,
  ]]);
  assertEquals(decodeJson(spoken.frames[0].payload), {
    ids: [9],
    kind: "disconnected",
    description: "the peer left",
  });
  assertEquals(other.frames, []);
});

test("DEL_ROUTE: a context gone is told to the client that heard of it, and ends its calls", async () => {
  await using tree = star();
  const child = tree.child(5);
  const client = tree.child(9, { privileged: true });
  await reaches(client, child);
  await reaches(child, client);
  client.frames.length = 0;
  child.leave();
  await turn();
  assertEquals(client.frames.map(({ handle }) => handle), [DEL_ROUTE]);
});

test("DEL_ROUTE: a context gone that kept silent is told to the client that spoke to it", async () => {
  await using tree = star();
  const child = tree.child(5);
  const client = tree.child(9, { privileged: true });
  await reaches(client, child);
  child.leave();
  await turn();
  assertEquals(client.frames.map(({ handle }) => handle), [DEL_ROUTE]);
});

test("DEL_ROUTE: from a child removes what is behind it, and nothing else", async () => {
  await using tree = star();
  const { router } = tree;
  const child = tree.child(5);
  tree.child(6);
  router.addRoute(7, child.link);
  const [behind, beside] = [await waiting(router, 7), await waiting(router, 6)];
  child.send({ handle: DEL_ROUTE }, lost([0, 6, 7, 99, "6", null, [6], -1, 1e300]));
  await turn();
  assertEquals([behind.errors.length, beside.errors.length], [1, 0]);
  assertEquals([router.linkOf(7), router.linkOf(6)?.peer], [undefined, 6]);
});

test("DEL_ROUTE: is told once however often it names a context", async () => {
  await using tree = star();
  const { router } = tree;
  const child = tree.child(5);
  router.addRoute(7, child.link);
  const gone: number[] = [];
  router.onGone((id) => gone.push(id));
  child.send({ handle: DEL_ROUTE }, lost(new Array(100_000).fill(7)));
  await turn();
  assertEquals(gone, [7]);
});

test("DEL_ROUTE: a grandchild's is not taken, whatever it names", async () => {
  await using tree = star();
  const { router } = tree;
  const child = tree.child(5);
  router.addRoute(7, child.link);
  const wait = await waiting(router, 5);
  child.send({ src: 7, auth: 7, handle: DEL_ROUTE }, lost([5]));
  await turn();
  assertEquals(wait.errors, []);
});

test("DEL_ROUTE: forged by a context below somebody else is ignored", async () => {
  // What a hostile core sends a client that spoke to it arrives there over the parent link.
  await using tree = star({ id: 9, parentIds: [0] });
  const parent = tree.parent(0);
  const wait = await waiting(tree.router, 6);
  parent.send({ dst: 9, src: 5, auth: 5, handle: DEL_ROUTE }, lost([0, 6]));
  await turn();
  assertEquals(wait.errors, []);
  parent.send({ dst: 9, src: 0, auth: 0, handle: DEL_ROUTE }, lost([6]));
  await turn();
  assertEquals(wait.errors.map(({ kind, message }) => [kind, message]), [["disconnected", "lost"]]);
});

test("DEL_ROUTE: the parent's does not remove what is below", async () => {
  await using tree = star({ id: 5, parentIds: [0] });
  const parent = tree.parent(0);
  tree.child(7);
  parent.send({ dst: 5, src: 0, auth: 0, handle: DEL_ROUTE }, lost([7]));
  await turn();
  assertEquals(tree.router.linkOf(7)?.peer, 7);
});

for (const payload of [{}, { ids: 7 }, { ids: null }, { ids: { length: 1 } }, { ids: [] }]) {
  test(`DEL_ROUTE: ${JSON.stringify(payload)} does no harm`, async () => {
    await using tree = star();
    const child = tree.child(5);
    child.send({ handle: DEL_ROUTE }, payload as JsonObject);
    await turn();
    assert(tree.router.linkOf(5));
  });
}
