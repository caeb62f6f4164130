import { Buffer } from "node:buffer";
import { Duplex } from "node:stream";
import { joinWrites } from "../../lib/master/joined_writes.ts";
import { assertEquals } from "../support/assert.ts";
import { test } from "../support/test.ts";

/** A stream that keeps what it is given, piece by piece. */
function keeper() {
  const pieces: Uint8Array[] = [];
  const { promise: finished, resolve } = Promise.withResolvers<void>();
  const stream = new Duplex({
    write(chunk: Uint8Array, _encoding, done) {
      pieces.push(Uint8Array.from(chunk));
      setTimeout(done, 0);
    },
    final(done) {
      done();
      resolve();
    },
  });
  joinWrites(stream);
  const all = () => Uint8Array.from(pieces.flatMap((piece) => [...piece]));
  return { stream, pieces, all, finished };
}

test("joined writes: one turn is one piece, the next turn another", async () => {
  const { stream, pieces, finished } = keeper();
  for (const byte of [1, 2, 3]) stream.write(Uint8Array.of(byte));
  await Promise.resolve();
  stream.write("x");
  stream.end();
  await finished;
  assertEquals(pieces, [Uint8Array.of(1, 2, 3), Uint8Array.of(120)]);
});

test("joined writes: a buffer can be used again at once, and nothing is lost or out of order", async () => {
  const { stream, all, finished } = keeper();
  const buffer = new Uint8Array(300_000);
  const expected: number[] = [];
  for (const [byte, size] of [1, 50_000, 100_000, 131_072, 200_000, 300_000].entries()) {
    buffer.fill(byte);
    stream.write(buffer.subarray(0, size));
    for (let count = 0; count < size; count++) expected.push(byte);
    if (byte % 2 === 0) await Promise.resolve();
  }
  buffer.fill(255);
  stream.end();
  await finished;
  assertEquals(Buffer.compare(all(), Uint8Array.from(expected)), 0);
});

test("joined writes: what was written before the end comes before it", async () => {
  const { stream, all, finished } = keeper();
  stream.write(Uint8Array.of(1));
  stream.end();
  await finished;
  assertEquals(all(), Uint8Array.of(1));
});
