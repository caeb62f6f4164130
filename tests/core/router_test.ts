/** Who may reach whom: source verification, privilege and unidirectional routing. */

import { IS_DEAD } from "../../lib/core/constants.ts";
import type { JsonObject } from "../../lib/core/json.ts";
import { assert, assertEquals } from "../support/assert.ts";
import { star, turn } from "../support/fenced_link.ts";
import { dead, listener, reaches } from "../support/router_watch.ts";
import { test } from "../support/test.ts";

// Source verification

const forgeries: [string, JsonObject & { src?: number; auth?: number }][] = [
  ["a sibling's src", { src: 6 }],
  ["a sibling's auth", { auth: 6 }],
  ["both", { src: 6, auth: 6 }],
  ["the router's own src", { src: 0 }],
  ["the router's own auth", { auth: 0 }],
  ["an unknown src", { src: 77 }],
  ["an id with all bits set", { src: 0xffffffff, auth: 0xffffffff }],
];

for (const [what, header] of forgeries) {
  test(`source verification: a child's frame with ${what} is dropped`, async () => {
    await using tree = star();
    const child = tree.child(5);
    const sibling = tree.child(6);
    const heard = listener(null);
    const handle = tree.router.addHandler(heard);
    child.send({ ...header, handle, replyTo: 1001 });
    child.send({ ...header, dst: 6, handle: 1234, replyTo: 1001 });
    await turn();
    assertEquals([heard.frames, sibling.frames, child.frames], [[], [], []]);
    assertEquals(tree.warnings.length, 2);
  });
}

test("source verification: the parent may speak for anyone", async () => {
  await using tree = star({ id: 5, parentIds: [0] });
  const parent = tree.parent(0);
  const heard = listener(9);
  const handle = tree.router.addHandler(heard);
  parent.send({ dst: 5, src: 9, auth: 9, handle });
  await turn();
  assertEquals(heard.frames.length, 1);
});

test("source verification: a grandchild passes when it is routed over that link", async () => {
  await using tree = star();
  const child = tree.child(5);
  tree.router.addRoute(7, child.link);
  const heard = listener(null);
  const handle = tree.router.addHandler(heard);
  child.send({ src: 7, auth: 5, handle });
  child.send({ src: 5, auth: 7, handle });
  await turn();
  assertEquals(heard.frames.length, 2);
});

test("source verification: a flood of forged frames is not a flood of warnings", async () => {
  await using tree = star();
  const child = tree.child(5);
  for (let i = 0; i < 1000; i++) child.send({ src: 6 });
  await turn();
  assertEquals(tree.warnings.length, 10);
});

test("privilege: frames of a privileged link act with the router's authority", async () => {
  await using tree = star();
  const client = tree.child(9, { privileged: true });
  const child = tree.child(5);
  client.send({ dst: 5, handle: 1234 });
  await turn();
  assertEquals(child.frames.map(({ src, auth }) => [src, auth]), [[9, 0]]);
  // In the bytes too: that is what a forwarded frame is sent as.
  assertEquals(
    new DataView(child.frames[0].bytes.buffer, child.frames[0].bytes.byteOffset).getUint32(10),
    0,
  );
});

test("privilege: a client cannot claim another client's src", async () => {
  await using tree = star();
  const client = tree.child(9, { privileged: true });
  tree.child(10, { privileged: true });
  const child = tree.child(5);
  client.send({ src: 10, dst: 5, handle: 1234 });
  await turn();
  assertEquals(child.frames, []);
});

// Unidirectional routing

test("routing: a child does not reach its sibling", async () => {
  await using tree = star();
  const child = tree.child(5);
  assert(!await reaches(child, tree.child(6)));
  assertEquals(dead(child), [[1500, "refused"]]);
});

test("routing: a child does not reach a client that has not spoken to it", async () => {
  await using tree = star();
  const child = tree.child(5);
  assert(!await reaches(child, tree.child(9, { privileged: true })));
  assertEquals(dead(child), [[1500, "refused"]]);
});

test("routing: a refused message does not open the way for the next", async () => {
  await using tree = star();
  const child = tree.child(5);
  const client = tree.child(9, { privileged: true });
  assert(!await reaches(child, client));
  assert(!await reaches(child, client));
  assertEquals(dead(child), [[1500, "refused"], [1500, "refused"]]);
});

test("routing: a child reaches a client that spoke to it, and no other", async () => {
  await using tree = star();
  const child = tree.child(5);
  const client = tree.child(9, { privileged: true });
  const other = tree.child(10, { privileged: true });
  assert(await reaches(client, child));
  assert(await reaches(child, client));
  assert(!await reaches(child, other));
});

test("routing: a sibling that a client spoke to does not open the way for another", async () => {
  await using tree = star();
  const spoken = tree.child(5);
  const other = tree.child(6);
  const client = tree.child(9, { privileged: true });
  assert(await reaches(client, spoken));
  assert(!await reaches(other, client));
});

test("routing: a dead message from a client does not introduce it", async () => {
  await using tree = star();
  const child = tree.child(5);
  const client = tree.child(9, { privileged: true });
  client.send({ dst: 5, handle: 1234, replyTo: IS_DEAD }, { kind: "io", description: "" });
  await turn();
  assert(!await reaches(child, client));
});

test("routing: refused messages do not make the router remember anything", async () => {
  await using tree = star();
  const child = tree.child(5);
  for (let dst = 1000; dst < 2000; dst++) child.send({ dst, handle: 1234, replyTo: 1001 });
  await turn();
  assertEquals(dead(child).length, 1000);
  assertEquals(child.link.introduced.size, 0);
});

test("routing: clients reach each other and every context", async () => {
  await using tree = star();
  const client = tree.child(9, { privileged: true });
  assert(await reaches(client, tree.child(10, { privileged: true })));
  assert(await reaches(client, tree.child(5)));
});

test("routing: everything goes up from a child, and down from the parent", async () => {
  await using tree = star({ id: 5, parentIds: [0] });
  const parent = tree.parent(0);
  const child = tree.child(7);
  child.send({ dst: 99, handle: 1234 });
  parent.send({ dst: 7, src: 99, auth: 0, handle: 1234 });
  await turn();
  const forwarded = parent.frames.filter(({ handle }) => handle === 1234);
  assertEquals(forwarded.map(({ dst, src }) => [dst, src]), [[99, 7]]);
  assertEquals(child.frames.map(({ dst, src }) => [dst, src]), [[7, 99]]);
});

test("routing: nothing goes back over the link that it came from", async () => {
  await using tree = star({ id: 5, parentIds: [0] });
  const parent = tree.parent(0);
  const child = tree.child(7);
  child.send({ dst: 7, handle: 1234, replyTo: 1001 });
  parent.send({ dst: 98, src: 0, auth: 0, handle: 1234, replyTo: 1002 });
  await turn();
  assertEquals(dead(child), [[1001, "no_route"]]);
  assertEquals(dead(parent), [[1002, "no_route"]]);
});
