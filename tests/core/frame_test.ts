/** One message as bytes. */

import { type Header, makeFrame, stampAuth, viewFrame } from "../../lib/core/frame.ts";
import { assertEquals } from "../support/assert.ts";
import { test } from "../support/test.ts";

const header: Header = {
  dst: 0x01020304,
  src: 0x05060708,
  auth: 0x090a0b0c,
  handle: 0x8d0e0f10,
  replyTo: 0x11121314,
};

test("frame: is a big-endian header of 26 bytes and the payload", () => {
  const { bytes } = makeFrame(header, Uint8Array.of(0xaa, 0xbb));
  // deno-fmt-ignore
  assertEquals([...bytes], [
    0x4d, 0x49, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 0x8d, 14, 15, 16, 17, 18, 19, 20,
    0, 0, 0, 2, 0xaa, 0xbb,
  ]);
});

test("frame: what is made is what is viewed, also inside a larger buffer", () => {
  for (const value of [0, 1, 0x7fffffff, 0x80000000, 0xffffffff]) {
    const all: Header = { dst: value, src: value, auth: value, handle: value, replyTo: value };
    const made = makeFrame(all, Uint8Array.of(1, 2, 3));
    const buffer = new Uint8Array(made.bytes.length + 7);
    buffer.set(made.bytes, 7);
    const { payload, bytes, ...rest } = viewFrame(buffer.subarray(7));
    assertEquals([rest, payload, bytes], [all, made.payload, made.bytes]);
  }
});

test("frame: the payload is copied, so the caller may reuse its buffer", () => {
  const payload = Uint8Array.of(1);
  const frame = makeFrame(header, payload);
  payload[0] = 2;
  assertEquals([...frame.payload], [1]);
});

test("frame: a stamped authority stands in the fields and in the bytes", () => {
  const frame = makeFrame(header, Uint8Array.of(1));
  stampAuth(frame, 0xfffffffe);
  assertEquals([frame.auth, viewFrame(frame.bytes).auth], [0xfffffffe, 0xfffffffe]);
  assertEquals(viewFrame(frame.bytes), frame);
});
