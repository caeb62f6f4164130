/** The scheduling of one link, over a transport that stands still until it is told to go on. */

import { IS_DATA } from "../../lib/core/constants.ts";
import { Decoder } from "../../lib/core/decoder.ts";
import { HoldfastError } from "../../lib/core/errors.ts";
import { type Frame, makeFrame } from "../../lib/core/frame.ts";
import { LIMITS } from "../../lib/core/limits.ts";
import { Link } from "../../lib/core/link.ts";
import { assert, assertEquals } from "../support/assert.ts";
import { type Fence, fencedPair, turn } from "../support/fenced_link.ts";
import { test } from "../support/test.ts";

interface Rig {
  link: Link;
  /** What the link hands to its transport. */
  out: Fence;
  /** How the link ended, once for each time it was told. */
  ends: (HoldfastError | null)[];
  /** Bytes and end from the peer. */
  peer: { write(bytes: Uint8Array): Promise<void>; close(): void };
  received: Frame[];
}

/** `batchTime`: milliseconds that the transport takes for a batch. */
function rig({ batchTime = 10 } = {}): Rig {
  const { transports: [near, far], down } = fencedPair();
  let clock = 0;
  const link = new Link(1, near, { now: () => clock += batchTime });
  const ends: (HoldfastError | null)[] = [];
  const received: Frame[] = [];
  void link.run({ onFrame: (frame) => received.push(frame), onClose: (error) => ends.push(error) });
  return { link, out: down, ends, peer: far, received };
}

const control = (handle: number, size = 0) =>
  makeFrame({ dst: 1, src: 0, auth: 0, handle, replyTo: 0 }, new Uint8Array(size));
const bulk = (handle: number, index = 0, size: number = LIMITS.chunk) =>
  makeFrame({ dst: 1, src: 0, auth: index, handle, replyTo: IS_DATA }, new Uint8Array(size));

/** The frames handed over, as `handle` or `handle.index`. */
function order({ written }: Fence, from = 0): string[] {
  const names: string[] = [];
  const decoder = new Decoder(({ handle, auth, replyTo }) =>
    names.push(replyTo === IS_DATA ? `${handle}.${auth}` : `${handle}`)
  );
  for (const bytes of written.slice(from)) decoder.push(bytes);
  return names;
}

test("link: control that comes later overtakes bulk that waits", async () => {
  const { link, out } = rig();
  out.close();
  for (let i = 0; i < 10; i++) link.send(bulk(1000, i));
  await turn();
  link.send(control(7));
  link.send(control(8));
  out.open();
  await turn();
  // One batch was with the transport already; nothing else is before the control.
  assertEquals(order(out).slice(0, 4), ["1000.0", "7", "8", "1000.1"]);
  link.close(null);
});

test("link: the transport is given no more than one batch at a time", async () => {
  const { link, out } = rig();
  out.close();
  for (let i = 0; i < 10; i++) link.send(bulk(1000, i));
  for (let i = 0; i < 10_000; i++) link.send(control(i));
  for (let count = 1; count < 8; count++) {
    await turn();
    assertEquals(out.written.length, count);
    assert(out.written.at(-1)!.length <= 2 * LIMITS.chunk + 52);
    out.pass(1);
  }
  link.close(null);
});

test("link: batches grow where the transport is quick, up to four times", async () => {
  const { link, out } = rig({ batchTime: 1 });
  for (let i = 0; i < 40; i++) link.send(bulk(1000, i));
  await turn();
  const frames = out.written.slice(0, 5).map(({ length }) => Math.floor(length / LIMITS.chunk));
  assertEquals(frames, [1, 2, 4, 4, 4]);
  assertEquals(order(out), Array.from({ length: 40 }, (_, i) => `1000.${i}`));
  link.close(null);
});

test("link: streams take turns, one frame each, and each keeps its order", async () => {
  const { link, out } = rig();
  out.close();
  link.send(control(1));
  await turn();
  for (let i = 0; i < 4; i++) link.send(bulk(1000, i));
  for (let i = 0; i < 2; i++) link.send(bulk(1001, i));
  for (let i = 0; i < 4; i++) link.send(bulk(1002, i));
  out.open();
  await turn();
  assertEquals(order(out, 1), [
    ...["1000.0", "1001.0", "1002.0"],
    ...["1000.1", "1001.1", "1002.1"],
    ...["1000.2", "1002.2"],
    ...["1000.3", "1002.3"],
  ]);
  link.close(null);
});

test("link: a stream that begins late waits for one turn of the others, not for their queues", async () => {
  const { link, out } = rig();
  out.close();
  for (let i = 0; i < 50; i++) link.send(bulk(1000, i));
  await turn();
  link.send(bulk(1001, 0));
  out.open();
  await turn();
  assert(order(out).indexOf("1001.0") <= 3);
  link.close(null);
});

test("link: streams of different contexts under one handle are different streams", async () => {
  const { link, out } = rig();
  out.close();
  link.send(control(1));
  await turn();
  const of = (src: number, index: number) =>
    makeFrame(
      { dst: 1, src, auth: index, handle: src + 1000, replyTo: IS_DATA },
      new Uint8Array(LIMITS.chunk),
    );
  for (let i = 0; i < 2; i++) link.send(of(5, i));
  for (let i = 0; i < 2; i++) link.send(of(6, i));
  out.open();
  await turn();
  assertEquals(order(out, 1), ["1005.0", "1006.0", "1005.1", "1006.1"]);
  link.close(null);
});

test("link: control keeps its order", async () => {
  const { link, out } = rig();
  out.close();
  const wanted: string[] = [];
  for (let i = 0; i < 1000; i++) {
    link.send(control(i, i));
    wanted.push(`${i}`);
    if (i % 100 === 0) await turn();
  }
  out.open();
  await turn();
  assertEquals(order(out), wanted);
  link.close(null);
});

test("link: a queue over its limit refuses, and takes again when it has drained", async () => {
  const { link, out } = rig();
  out.close();
  let taken = 0;
  while (link.send(control(1, LIMITS.framePayload))) taken++;
  assertEquals(taken, 16);
  assert(link.send(bulk(1000)), "bulk has a limit of its own");
  out.open();
  await turn();
  assertEquals(link.queued, 0);
  assert(link.send(control(1)));
  link.close(null);
});

test("link: a stream over its limit refuses, and others do not", async () => {
  const { link, out } = rig();
  out.close();
  let bytes = 0;
  while (link.send(bulk(1000))) bytes += LIMITS.chunk;
  assert(bytes >= 2 * LIMITS.maxWindow && bytes < 2 * LIMITS.maxWindow + 2 * LIMITS.chunk);
  assert(link.send(bulk(1001)));
  await turn();
  link.close(null);
});

test("link: flush resolves when the last byte is with the transport", async () => {
  const { link, out } = rig();
  out.close();
  link.send(control(1));
  link.send(bulk(1000));
  let flushed = false;
  const flush = link.flush().then(() => flushed = true);
  await turn();
  assert(!flushed);
  out.open();
  await flush;
  assertEquals(order(out), ["1", "1000.0"]);
  await link.flush();
  link.close(null);
});

test("link: closing during a write ends everything once, and flush too", async () => {
  const { link, out, ends } = rig();
  out.close();
  for (let i = 0; i < 5; i++) link.send(bulk(1000, i));
  const flush = link.flush();
  await turn();
  link.close(null);
  link.close(new HoldfastError("io", "again"));
  await flush;
  await turn();
  assertEquals(ends, [null]);
  assertEquals([link.send(control(1)), link.queued, order(out)], [false, 0, ["1000.0"]]);
});

test("link: a transport that cannot write ends it with the transport's error", async () => {
  const broken = new HoldfastError("disconnected", "EPIPE");
  const ends: (HoldfastError | null)[] = [];
  let end = () => {};
  const link = new Link(1, {
    read: () => new Promise((resolve) => end = () => resolve(null)),
    write: () => Promise.reject(broken),
    close: () => end(),
  });
  const running = link.run({ onFrame() {}, onClose: (error) => ends.push(error) });
  link.send(control(1));
  await link.flush();
  await running;
  assertEquals(ends, [broken]);
});

test("link: a transport that cannot read ends it with kind disconnected", async () => {
  const ends: (HoldfastError | null)[] = [];
  const link = new Link(1, {
    read: () => Promise.reject(new Error("ECONNRESET")),
    write: () => Promise.resolve(),
    close() {},
  });
  await link.run({ onFrame() {}, onClose: (error) => ends.push(error) });
  assertEquals([ends.length, ends[0]?.kind, ends[0]?.message], [1, "disconnected", "ECONNRESET"]);
});

test("link: an end between frames is none of an error, one inside a frame is", async () => {
  const clean = rig();
  await clean.peer.write(control(1).bytes);
  await turn();
  clean.peer.close();
  await turn();
  assertEquals([clean.ends, clean.received.length], [[null], 1]);

  const torn = rig();
  await torn.peer.write(control(1, 10).bytes.subarray(0, 30));
  await turn();
  torn.peer.close();
  await turn();
  assertEquals(torn.ends.map((error) => error?.message), ["the link ended inside a frame"]);
});

test("link: garbage from the peer ends it with kind protocol, an oversized frame with limit", async () => {
  const garbage = rig();
  await garbage.peer.write(new TextEncoder().encode("Connection closed by remote host\r\n"));
  const large = rig();
  const { bytes } = control(1);
  new DataView(bytes.buffer).setUint32(22, LIMITS.framePayload + 1);
  await large.peer.write(bytes);
  await turn();
  assertEquals([garbage.ends[0]?.kind, large.ends[0]?.kind], ["protocol", "limit"]);
});

test("link: what was read with the greeting comes first", async () => {
  const { transports: [near, far] } = fencedPair();
  const link = new Link(1, near);
  const handles: number[] = [];
  const whole = control(1, 4).bytes;
  const running = link.run(
    { onFrame: ({ handle }) => handles.push(handle), onClose() {} },
    whole.slice(0, 10),
  );
  await far.write(whole.slice(10));
  await far.write(control(2).bytes);
  await turn();
  assertEquals(handles, [1, 2]);
  link.close(null);
  await running;
});

test("link: counts its traffic", async () => {
  const { link, peer } = rig();
  link.send(control(1, 10));
  await peer.write(control(2, 20).bytes);
  await turn();
  assertEquals(link.traffic, { sent: 36, received: 46 });
  link.close(null);
});
