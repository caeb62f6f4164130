/** The first bytes of a link, and the noise that may come before them. */

import { GREETING_HEADER_SIZE, GREETING_MAGIC } from "../../lib/core/constants.ts";
import { HoldfastError } from "../../lib/core/errors.ts";
import {
  checkVersion,
  concat,
  encodeGreeting,
  type GreetingRead,
  NoGreeting,
  readGreeting,
} from "../../lib/core/greeting.ts";
import type { Transport } from "../../lib/core/host.ts";
import { LIMITS } from "../../lib/core/limits.ts";
import { assert, assertEquals, assertRejects, assertThrows } from "../support/assert.ts";
import { test } from "../support/test.ts";

/** Yields the chunks, then the end. */
function incoming(chunks: Iterable<Uint8Array>): Transport {
  const iterator = chunks[Symbol.iterator]();
  return {
    read: () => Promise.resolve(iterator.next().value ?? null),
    write: () => Promise.resolve(),
    close() {},
  };
}

const read = (...chunks: Uint8Array[]): Promise<GreetingRead> => readGreeting(incoming(chunks));
const bytes = (text: string) => new TextEncoder().encode(text);
const HASH = "0123456789abcdef".repeat(4);
const GREETING = encodeGreeting({ hello: "wörld" }, HASH);
const NOISE = concat(
  bytes("Welcome!\r\n\x1b[1mmotd\x1b[0m "),
  Uint8Array.of(0xff, 0xff, 0x00, 0x48, 0x4f, 0xff, 0x00, 0x48, 0x4f, 0x4c, 0x44, 0x0d, 0xff),
);
const REST = bytes("MI and more");

test("greeting: its layout is pinned", () => {
  const greeting = encodeGreeting({ a: 1 }, HASH);
  assertEquals([...greeting], [
    ...GREETING_MAGIC,
    ...[0, 1],
    ...[0, 1, 2, 3].flatMap(() => [0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef]),
    ...[0, 0, 0, 7],
    ...bytes('{"a":1}'),
  ]);
});

test("greeting: is found behind noise in every split in two", async () => {
  const all = concat(concat(NOISE, GREETING), REST);
  for (let at = 1; at < all.length; at++) {
    const { greeting, rest } = await read(all.slice(0, at), all.slice(at));
    assertEquals(greeting, { version: 1, coreHash: HASH, body: { hello: "wörld" } });
    // What was not read stays in the transport.
    assertEquals(rest, REST.subarray(0, rest.length));
  }
});

test("greeting: is found behind noise byte by byte, and takes not a byte too many", async () => {
  const { greeting, rest } = await read(
    ...[...concat(NOISE, GREETING)].map((b) => Uint8Array.of(b)),
  );
  assertEquals([greeting.body, rest.length], [{ hello: "wörld" }, 0]);
});

test("greeting: every beginning of the magic may stand before it", async () => {
  for (let length = 0; length < GREETING_MAGIC.length; length++) {
    const all = concat(GREETING_MAGIC.slice(0, length), GREETING);
    assertEquals((await read(all)).greeting.coreHash, HASH);
    for (let at = 1; at < all.length; at++) {
      assertEquals((await read(all.slice(0, at), all.slice(at))).greeting.coreHash, HASH);
    }
  }
});

test("greeting: one that ends early tells what came instead", async () => {
  const error = await assertRejects(
    () => read(bytes("bash: no "), bytes("such thing\n")),
    NoGreeting,
  );
  assertEquals([error.kind, error.noise], ["bootstrap", "bash: no such thing"]);
  for (let at = 1; at < GREETING.length; at++) {
    assertEquals(
      (await assertRejects(() => read(GREETING.slice(0, at)), NoGreeting)).kind,
      "bootstrap",
    );
  }
});

test("greeting: noise up to the limit is skipped, more is refused", async () => {
  const half = new Uint8Array(LIMITS.noise / 2).fill(0x20);
  assertEquals((await read(half, half, GREETING)).greeting.coreHash, HASH);
  const error = await assertRejects(() => read(half, half, bytes("!"), GREETING), NoGreeting);
  assertEquals(error.kind, "protocol");
});

test("greeting: noise without end is refused, byte by byte too, and not hoarded", async () => {
  let count = 0;
  function* endless(): Generator<Uint8Array> {
    for (;; count++) yield bytes("x");
  }
  const error = await assertRejects(() => readGreeting(incoming(endless())), NoGreeting);
  assert(count <= LIMITS.noise + 1 && error.noise.length <= 4096);
});

test("greeting: an oversized one is refused at its header", async () => {
  const header = GREETING.slice(0, GREETING_HEADER_SIZE);
  for (const length of [LIMITS.greeting + 1, 0xffffffff]) {
    new DataView(header.buffer).setUint32(42, length);
    assertEquals((await assertRejects(() => read(header), HoldfastError)).kind, "limit");
  }
});

test("greeting: one whose body is no object is refused", async () => {
  const bad = GREETING.slice();
  bad[GREETING_HEADER_SIZE] = 0x5b;
  assertEquals((await assertRejects(() => read(bad), HoldfastError)).kind, "protocol");
});

test("greeting: another version is read, and refused with both numbers", async () => {
  const other = GREETING.slice();
  new DataView(other.buffer).setUint16(8, 0x0203);
  const { greeting } = await read(other);
  assertEquals(greeting.version, 0x0203);
  const error = assertThrows(() => checkVersion(greeting), HoldfastError, "is 515, ours 1");
  assertEquals(error.kind, "version");
});

test("greeting: without a core its hash is zeros", async () => {
  assertEquals((await read(encodeGreeting({}))).greeting.coreHash, "0".repeat(64));
});
