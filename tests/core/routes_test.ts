/** Contexts behind contexts: who may announce whom, and how a subtree goes away. */

import { ADD_ROUTE, CALL_SERVICE, DEL_ROUTE } from "../../lib/core/constants.ts";
import { HoldfastError } from "../../lib/core/errors.ts";
import { decodeJson } from "../../lib/core/json.ts";
import { LIMITS } from "../../lib/core/limits.ts";
import { OwnedIds } from "../../lib/core/owned_ids.ts";
import { assert, assertEquals } from "../support/assert.ts";
import { type Peer, star, turn } from "../support/fenced_link.ts";
import { test } from "../support/test.ts";

const announced = ({ frames }: Peer): unknown[] =>
  frames.filter(({ handle }) => handle === ADD_ROUTE).map(({ payload }) => decodeJson(payload).id);

test("ADD_ROUTE: a child's child is routed over it, and told to those above", async () => {
  await using tree = star({ id: 5, parentIds: [2, 0] });
  const parent = tree.parent(2);
  const child = tree.child(7);
  child.send({ handle: ADD_ROUTE }, { id: 20 });
  await turn();
  assertEquals(tree.router.linkOf(20), child.link);
  assertEquals(announced(parent), [7, 20]);
  parent.send({ dst: 20, src: 0, auth: 0, handle: 1234 });
  await turn();
  assertEquals(child.frames.map(({ dst, handle }) => [dst, handle]), [[20, 1234]]);
});

const forgeries: [string, { src?: number }, unknown][] = [
  ["the router's own id", {}, 5],
  ["a context above", {}, 0],
  ["its sibling", {}, 8],
  ["its sibling's child", {}, 30],
  ["something that is no id", {}, "x"],
  ["a fraction", {}, 20.5],
  ["a context in its sibling's name", { src: 8 }, 21],
  ["a context in its own child's name", { src: 22 }, 23],
];

for (const [what, header, id] of forgeries) {
  test(`ADD_ROUTE: a child that announces ${what} is not believed`, async () => {
    await using tree = star({ id: 5, parentIds: [2, 0] });
    const parent = tree.parent(2);
    const child = tree.child(7);
    const sibling = tree.child(8);
    sibling.send({ handle: ADD_ROUTE }, { id: 30 });
    child.send({ handle: ADD_ROUTE }, { id: 22 });
    await turn();
    const before = announced(parent);
    child.send({ handle: ADD_ROUTE, ...header }, { id } as { id: number });
    await turn();
    assertEquals(announced(parent), before);
    assertEquals([tree.router.linkOf(8), tree.router.linkOf(30)], [sibling.link, sibling.link]);
    assertEquals([tree.router.linkOf(21), tree.router.linkOf(23)], [undefined, undefined]);
  });
}

test("ADD_ROUTE: the root believes only what it gave the child's side", async () => {
  const given = new Map([[20, 7], [21, 8], [22, 20]]);
  await using tree = star({
    mayAnnounce: (id, link) => {
      const owner = given.get(id);
      return owner !== undefined && tree.router.linkOf(owner) === link;
    },
  });
  const child = tree.child(7);
  tree.child(8);
  for (const id of [20, 21, 22, 23]) child.send({ handle: ADD_ROUTE }, { id });
  await turn();
  const { router } = tree;
  assertEquals([20, 21, 22, 23].map((id) => router.linkOf(id) === child.link), [
    true,
    false,
    true,
    false,
  ]);
  assertEquals(tree.warnings.length, 2);
});

test("ADD_ROUTE: a child that floods routes is cut off, its siblings are not", async () => {
  await using tree = star();
  const child = tree.child(7);
  const sibling = tree.child(8);
  for (let id = 100; id < 100 + LIMITS.routesPerLink; id++) {
    child.send({ handle: ADD_ROUTE }, { id });
  }
  await turn();
  assertEquals(tree.router.linkOf(100), undefined);
  assertEquals(tree.router.linkOf(8), sibling.link);
});

test("source verification: a child that floods forged frames is cut off, its siblings are not", async () => {
  await using tree = star();
  const child = tree.child(7);
  const sibling = tree.child(8);
  for (let i = 0; i <= LIMITS.dropped; i++) child.send({ src: 8, handle: 1234 });
  await turn();
  assertEquals([tree.router.linkOf(7), tree.router.linkOf(8)], [undefined, sibling.link]);
  assert(tree.warnings.length <= 10);
});

test("ADD_ROUTE: at a context in the middle, too, only what the root gave the child's side", async () => {
  const ids = new OwnedIds();
  await using tree = star({
    id: 5,
    parentIds: [0],
    mayAnnounce: (id, link) => {
      const owner = ids.ownerOf(id);
      return owner !== undefined && tree.router.linkOf(owner) === link;
    },
  });
  const parent = tree.parent(0);
  const child = tree.child(7);
  // A client spoke to the child, which now claims to be it.
  parent.send({ dst: 7, src: 3, auth: 0, handle: 1234 });
  ids.give(20, 1, 7);
  ids.give(21, 1, 5);
  for (const id of [3, 20, 21]) child.send({ handle: ADD_ROUTE }, { id });
  await turn();
  const { router } = tree;
  assertEquals([3, 20, 21].map((id) => router.linkOf(id) === child.link), [false, true, false]);
  assertEquals(announced(parent), [7, 20]);
});

test("blame: what a child forwards wrongly made is not held against it", async () => {
  await using tree = star();
  const child = tree.child(7);
  tree.router.addRoute(20, child.link);
  const garbage = new Uint8Array([1, 2, 3]);
  tree.router.setStandardHandler(CALL_SERVICE, ({ payload }) => void decodeJson(payload));
  for (let i = 0; i <= LIMITS.dropped; i++) {
    child.send({ src: 20, auth: 20, handle: CALL_SERVICE, replyTo: 1000 }, garbage);
  }
  await turn();
  assertEquals(tree.router.linkOf(7), child.link);
  for (let i = 0; i <= LIMITS.dropped; i++) child.send({ handle: CALL_SERVICE }, garbage);
  await turn();
  assertEquals(tree.router.linkOf(7), undefined);
});

test("forget: a context that was given up and comes back takes nobody along", async () => {
  await using tree = star();
  const child = tree.child(7);
  tree.router.addRoute(20, child.link);
  tree.router.forget(20, new HoldfastError("disconnected", "it has stopped answering"));
  for (let i = 0; i <= LIMITS.dropped; i++) child.send({ src: 20, auth: 20, handle: 1234 });
  await turn();
  assertEquals([tree.router.linkOf(7), tree.router.linkOf(20)], [child.link, undefined]);
  // Once its parent has told of its end, its frames are forgeries again.
  child.send({ handle: DEL_ROUTE }, { ids: [20], kind: "disconnected", description: "x" });
  for (let i = 0; i <= LIMITS.dropped; i++) child.send({ src: 20, auth: 20, handle: 1234 });
  await turn();
  assertEquals(tree.router.linkOf(7), undefined);
});

test("DEL_ROUTE: a neighbour that gives up itself loses its link", async () => {
  await using tree = star();
  const child = tree.child(7);
  child.send({ handle: DEL_ROUTE }, { ids: [7], kind: "disconnected", description: "bye" });
  await turn();
  assertEquals(tree.router.linkOf(7), undefined);
});

test("DEL_ROUTE: a lost link takes its whole subtree along, and those above are told once", async () => {
  await using tree = star({ id: 5, parentIds: [0] });
  const parent = tree.parent(0);
  const child = tree.child(7);
  for (const id of [20, 21]) child.send({ handle: ADD_ROUTE }, { id });
  await turn();
  child.leave();
  await turn();
  const told = parent.frames.filter(({ handle }) => handle === DEL_ROUTE)
    .map(({ payload }) => decodeJson(payload).ids);
  assertEquals(told, [[7, 20, 21]]);
  for (const id of [7, 20, 21]) assertEquals(tree.router.linkOf(id), undefined);
});

test("grant: two children reach each other, nobody else does, until one of them is gone", async () => {
  await using tree = star();
  const [a, b, c] = [7, 8, 9].map((id) => tree.child(id));
  tree.router.grant(7, 8);
  const reaches = async (from: Peer, to: Peer) => {
    to.frames.length = 0;
    from.send({ dst: to.id, handle: 1234 });
    await turn();
    return to.frames.some(({ handle, src }) => handle === 1234 && src === from.id);
  };
  assertEquals(await Promise.all([reaches(a, b)]), [true]);
  assertEquals(await reaches(b, a), true);
  assertEquals([await reaches(a, c), await reaches(c, a), await reaches(c, b)], [
    false,
    false,
    false,
  ]);
  // Not with another's name, either.
  b.frames.length = 0;
  c.send({ dst: 8, src: 7, auth: 7, handle: 1234 });
  await turn();
  assertEquals(b.frames, []);
  b.leave();
  await turn();
  const again = tree.child(8);
  assertEquals(await reaches(a, again), false);
});
