/** Lines of the relay's input, however their bytes arrive. */

import { LineReader } from "../../lib/client/line_reader.ts";
import { HoldfastError } from "../../lib/core/errors.ts";
import type { ByteSource } from "../../lib/core/host.ts";
import { assertEquals, assertRejects } from "../support/assert.ts";
import { test } from "../support/test.ts";

/** A source that yields `text` in pieces of `size` bytes. */
function pieces(text: string | Uint8Array, size: number): ByteSource {
  let rest = typeof text === "string" ? new TextEncoder().encode(text) : text;
  return {
    read() {
      const piece = rest.subarray(0, size);
      rest = rest.subarray(size);
      return Promise.resolve(piece.length > 0 ? piece : null);
    },
    cancel() {},
  };
}

async function readAll(reader: LineReader): Promise<string[]> {
  const lines: string[] = [];
  for (let line = await reader.next(); line !== null; line = await reader.next()) lines.push(line);
  return lines;
}

const SIZES = [1, 2, 3, 5, 1000];

test("lines: the same however their bytes arrive", async () => {
  const text = "a\r\n\n\u00fc\u{1f600}\r\nb\rc\n\r\nlast";
  for (const size of SIZES) {
    const reader = new LineReader(pieces(text, size), { limit: 100 });
    assertEquals(await readAll(reader), ["a", "", "\u00fc\u{1f600}", "b\rc", "", "last"]);
    assertEquals(reader.count, 6);
  }
  assertEquals(await readAll(new LineReader(pieces("", 1), { limit: 1 })), []);
  assertEquals(await readAll(new LineReader(pieces("\n", 1), { limit: 1 })), [""]);
});

test("lines: one that is too long or no UTF-8 fails alone", async () => {
  const bytes = new TextEncoder().encode("ok\n123456789\n_\n12345678\n123456789");
  bytes[bytes.indexOf(0x5f)] = 0xff;
  for (const size of SIZES) {
    const reader = new LineReader(pieces(bytes, size), { limit: 8 });
    assertEquals(await reader.next(), "ok");
    assertEquals((await assertRejects(() => reader.next(), HoldfastError)).kind, "limit");
    assertEquals((await assertRejects(() => reader.next(), HoldfastError)).kind, "usage");
    assertEquals([await reader.next(), reader.count], ["12345678", 4]);
    assertEquals((await assertRejects(() => reader.next(), HoldfastError)).kind, "limit");
    assertEquals(await reader.next(), null);
  }
});

test("lines: one without an end fails as soon as it is too long", async () => {
  let reads = 0;
  const endless: ByteSource = {
    read: () => Promise.resolve(new Uint8Array(10).fill(0x61 + (reads++ % 2))),
    cancel() {},
  };
  await assertRejects(() => new LineReader(endless, { limit: 95 }).next(), HoldfastError);
  assertEquals(reads, 10);
});

test("lines: peek passes over blanks and leaves what follows", async () => {
  for (const size of SIZES) {
    const reader = new LineReader(pieces(" \r\n\t\n  x y\nz", size), { limit: 10 });
    assertEquals([await reader.peek(), await reader.peek()], [0x78, 0x78]);
    assertEquals([await reader.next(), reader.count], ["x y", 3]);
    assertEquals(await reader.next(), "z");
    assertEquals(await reader.peek(), null);
  }
});
