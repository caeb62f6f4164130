/** Node streams as byte sources: nothing is lost, however a stream ends. */

import { Readable } from "node:stream";
import { StreamSource } from "../../lib/master/ssh_streams.ts";
import { assertEquals } from "../support/assert.ts";
import { test } from "../support/test.ts";

const CHUNKS = 10;
const SIZE = 64 * 1024;

const endings: Record<string, (stream: Readable) => void> = {
  ends: (stream) => stream.push(null),
  closes: (stream) => stream.emit("close"),
  "is destroyed": (stream) => stream.destroy(),
};

for (const [what, end] of Object.entries(endings)) {
  test(`stream source: what waits when the stream ${what} is read to its end`, async () => {
    const stream = new Readable({ read() {}, highWaterMark: CHUNKS * SIZE });
    const source = new StreamSource(stream);
    for (let i = 0; i < CHUNKS; i++) stream.push(new Uint8Array(SIZE).fill(i));
    const first = await source.read();
    end(stream);
    let total = first!.length;
    for (let bytes = await source.read(); bytes !== null; bytes = await source.read()) {
      total += bytes.length;
    }
    assertEquals(total, CHUNKS * SIZE);
  });
}
