/** Who may reach whom, and what becomes of messages that cannot be delivered. */

import { DEL_ROUTE, IS_DATA, IS_DEAD, MIRROR } from "../../lib/core/constants.ts";
import { HoldfastError } from "../../lib/core/errors.ts";
import type { Frame } from "../../lib/core/frame.ts";
import { decodeJson, type JsonObject } from "../../lib/core/json.ts";
import { LIMITS } from "../../lib/core/limits.ts";
import type { Handler, Router } from "../../lib/core/router.ts";
import { ReceiveStream, SendStream } from "../../lib/core/stream.ts";
import { assert, assertEquals, assertRejects, assertThrows } from "../support/assert.ts";
import { fencedPair, type Peer, star, turn } from "../support/fenced_link.ts";
import { test } from "../support/test.ts";

interface Listener extends Handler {
  frames: Frame[];
  errors: HoldfastError[];
}

function listener(from: number | null): Listener {
  const frames: Frame[] = [];
  const errors: HoldfastError[] = [];
  return {
    from,
    frames,
    errors,
    onFrame: (frame) => frames.push(frame),
    onDead: (error) => errors.push(error),
  };
}

/** The dead replies that a peer got, as `kind` by handle. */
function dead({ frames }: Peer): [number, unknown][] {
  return frames.filter((frame) => frame.replyTo === IS_DEAD)
    .map((frame) => [frame.handle, decodeJson(frame.payload).kind]);
}

/** Whether a message of `from` to `to` gets there. */
async function reaches(from: Peer, to: Peer): Promise<boolean> {
  to.frames.length = 0;
  from.send({ dst: to.id, handle: 1234, replyTo: 1500 });
  await turn();
  return to.frames.some((frame) => frame.src === from.id && frame.handle === 1234);
}

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
  const { Link } = await import("../../lib/core/link.ts");
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

// Memory

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
