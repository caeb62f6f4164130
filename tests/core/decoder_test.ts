/** Frames cut out of a byte stream, however it is split. */

import { MAGIC } from "../../lib/core/constants.ts";
import { Decoder } from "../../lib/core/decoder.ts";
import { HoldfastError } from "../../lib/core/errors.ts";
import { type Frame, makeFrame } from "../../lib/core/frame.ts";
import { LIMITS } from "../../lib/core/limits.ts";
import { assert, assertEquals, assertThrows } from "../support/assert.ts";
import { test } from "../support/test.ts";

function frame(handle: number, size: number): Frame {
  const payload = new Uint8Array(size).map((_, at) => at * 7 + handle);
  return makeFrame({ dst: 1, src: 2, auth: 3, handle, replyTo: 4 }, payload);
}

function joined(frames: Frame[]): Uint8Array {
  const bytes = new Uint8Array(frames.reduce((sum, { bytes }) => sum + bytes.length, 0));
  let at = 0;
  for (const { bytes: part } of frames) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}

/** What comes out when `bytes` come in as chunks of these sizes, the last one repeated. */
function decoded(bytes: Uint8Array, sizes: number[]): { frames: Frame[]; pending: number } {
  const frames: Frame[] = [];
  const decoder = new Decoder((frame) => frames.push(frame));
  for (let at = 0, i = 0; at < bytes.length; i++) {
    const size = sizes[Math.min(i, sizes.length - 1)];
    decoder.push(bytes.slice(at, at + size));
    at += size;
  }
  return { frames, pending: decoder.pending };
}

const SAMPLE = [frame(1, 0), frame(2, 5), frame(3, 0), frame(4, 61), frame(5, 1), frame(6, 0)];

test("decoder: every split in two gives the same frames", () => {
  const bytes = joined(SAMPLE);
  for (let at = 1; at <= bytes.length; at++) {
    assertEquals(decoded(bytes, [at, bytes.length]), { frames: SAMPLE, pending: 0 }, `${at}`);
  }
});

test("decoder: every split in three gives the same frames", () => {
  const sample = [frame(1, 0), frame(2, 3), frame(3, 1)];
  const bytes = joined(sample);
  for (let a = 1; a < bytes.length; a++) {
    for (let b = 1; a + b <= bytes.length; b++) {
      assertEquals(decoded(bytes, [a, b, bytes.length]).frames.length, 3);
    }
  }
});

test("decoder: chunks of every fixed size give the same frames", () => {
  const bytes = joined(SAMPLE);
  for (let size = 1; size < 70; size++) assertEquals(decoded(bytes, [size]).frames, SAMPLE);
});

test("decoder: random splits of random frames give the same frames", () => {
  const random = seeded(4711);
  for (let round = 0; round < 50; round++) {
    const frames = Array.from(
      { length: 20 },
      (_, i) => frame(i, random() % 3 ? random() % 300 : 0),
    );
    const bytes = joined(frames);
    const sizes = Array.from({ length: 200 }, () => 1 + random() % 90);
    assertEquals(decoded(bytes, sizes), { frames, pending: 0 });
  }
});

test("decoder: the largest frame passes", () => {
  const large = frame(1, LIMITS.framePayload);
  assertEquals(decoded(joined([large]), [65536]).frames[0].payload.length, LIMITS.framePayload);
});

test("decoder: pending says whether the stream may end here", () => {
  const { bytes } = frame(1, 3);
  for (let at = 0; at <= bytes.length; at++) {
    assertEquals(
      decoded(bytes.subarray(0, at), [5]).pending === 0,
      at === 0 || at === bytes.length,
    );
  }
});

/** A header of these first two bytes and this length. */
function header(magic: number, length: number): Uint8Array {
  const { bytes } = frame(1, 0);
  const view = new DataView(bytes.buffer);
  view.setUint16(0, magic);
  view.setUint32(22, length);
  return bytes;
}

for (const [what, sizes] of [["in one chunk", [100]], ["byte by byte", [1]]] as const) {
  for (const magic of [0, 0x4d48, 0x494d, 0xff00]) {
    test(`decoder: refuses a frame that begins with ${magic.toString(16)}, ${what}`, () => {
      const bytes = joined([frame(1, 2), { ...frame(1, 0), bytes: header(magic, 0) }]);
      const error = assertThrows(() => decoded(bytes, [...sizes]), HoldfastError);
      assertEquals(error.kind, "protocol");
    });
  }

  for (const length of [LIMITS.framePayload + 1, 0x7fffffff, 0x80000000, 0xffffffff]) {
    test(`decoder: refuses a payload of ${length} bytes at its header, ${what}`, () => {
      const error = assertThrows(() => decoded(header(MAGIC, length), [...sizes]), HoldfastError);
      assertEquals(error.kind, "limit");
    });
  }
}

test("decoder: the frames before a broken one are delivered", () => {
  const frames: Frame[] = [];
  const decoder = new Decoder((frame) => frames.push(frame));
  const bytes = joined([frame(1, 2), { ...frame(1, 0), bytes: header(0, 0) }]);
  assertThrows(() => decoder.push(bytes), HoldfastError);
  assertEquals(frames.length, 1);
});

test("decoder: what is kept of a chunk is at most four times the frame", () => {
  const frames: Frame[] = [];
  const decoder = new Decoder((frame) => frames.push(frame));
  decoder.push(joined([frame(1, 1), frame(2, 60_000), frame(3, 1)]));
  for (const { bytes } of frames) assert(bytes.buffer.byteLength <= 4 * bytes.length);
});

test("decoder: a large frame is not copied", () => {
  const frames: Frame[] = [];
  const decoder = new Decoder((frame) => frames.push(frame));
  const chunk = joined([frame(1, 60_000)]);
  decoder.push(chunk);
  assert(frames[0].bytes.buffer === chunk.buffer);
});

/** A generator of unsigned 32-bit numbers (xorshift). */
function seeded(seed: number): () => number {
  let state = seed;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return state >>> 0;
  };
}
