/** Streams over a link that can be fenced: bytes, ends, windows. */

import { HoldfastError } from "../../lib/core/errors.ts";
import { LIMITS } from "../../lib/core/limits.ts";
import { pump, ReceiveStream, SendStream } from "../../lib/core/stream.ts";
import { assert, assertEquals, assertRejects } from "../support/assert.ts";
import { contextPair } from "../support/context_pair.ts";
import { turn } from "../support/fenced_link.ts";
import { ARRANGEMENTS, bytes, drain, ends, io, settled } from "../support/stream_ends.ts";
import { test } from "../support/test.ts";

for (const arrangement of ARRANGEMENTS) {
  const { name } = arrangement;

  test(`stream (${name}): bytes arrive in order and whole, then the end`, async () => {
    await using both = ends(arrangement);
    const sent = bytes(3 * LIMITS.window + 12345);
    const got = new Uint8Array(sent.length);
    const writing = (async () => {
      for (let at = 0, size = 1; at < sent.length; at += size, size = size * 3 % 300_007 + 1) {
        await both.sender.write(sent.subarray(at, at + size));
      }
      await both.sender.close();
    })();
    let at = 0;
    for (let chunk = await both.receiver.read(); chunk; chunk = await both.receiver.read()) {
      assert(chunk.length > 0 && chunk.length <= LIMITS.chunk);
      got.set(chunk, at);
      at += chunk.length;
    }
    await writing;
    assertEquals(at, sent.length);
    assert(got.every((byte, at) => byte === sent[at]));
    assertEquals([await both.receiver.read(), await both.sender.ended], [null, null]);
  });

  test(`stream (${name}): a reader that stands still costs one window`, async () => {
    await using both = ends(arrangement);
    const writing = both.sender.write(new Uint8Array(4 * LIMITS.window)).catch((error) => error);
    assert(!await settled(writing));
    const overhead = 4096;
    assert(both.data.bytes >= LIMITS.window && both.data.bytes < LIMITS.window + overhead);
    both.receiver.cancel();
    assertEquals((await writing).kind, "cancelled");
  });

  test(`stream (${name}): a cancelled one rejects the writer with the reader's reason`, async () => {
    await using both = ends(arrangement);
    both.receiver.cancel(io("disk full"));
    both.receiver.cancel(io("again"));
    const reason = await both.sender.ended;
    assertEquals(reason?.toWire(), { kind: "io", description: "disk full" });
    assertEquals(await both.receiver.read(), null);
    const error = await assertRejects(() => both.sender.write(bytes(1)), HoldfastError);
    assertEquals(error.message, "disk full");
  });

  test(`stream (${name}): an aborted one rejects the reader with the writer's reason`, async () => {
    await using both = ends(arrangement);
    both.sender.abort(io("file vanished"));
    both.sender.abort(io("again"));
    await both.sender.close();
    const error = await assertRejects(() => both.receiver.read(), HoldfastError);
    assertEquals(error.toWire(), { kind: "io", description: "file vanished" });
  });

  test(`stream (${name}): a lost link rejects a waiting reader and a waiting writer`, async () => {
    await using both = ends(arrangement);
    const reading = drain(both.receiver).catch((error) => error);
    both.data.close();
    const writing = both.sender.write(new Uint8Array(2 * LIMITS.window)).catch((error) => error);
    await turn();
    both.pair.cut();
    assertEquals([(await reading).kind, (await writing).kind], ["disconnected", "disconnected"]);
    assertEquals((await both.sender.ended)?.kind, "disconnected");
  });
}

test("stream: what came before an abort is read before its reason", async () => {
  await using both = ends();
  await both.sender.write(bytes(10));
  await turn();
  both.sender.abort(io("broke"));
  await turn();
  assertEquals((await both.receiver.read())?.length, 10);
  await assertRejects(() => both.receiver.read(), HoldfastError, "broke");
});

test("stream: an end behind what waits is no end before it", async () => {
  await using both = ends();
  both.data.close();
  await both.sender.write(bytes(LIMITS.window));
  await both.sender.close();
  both.data.open();
  assertEquals(await drain(both.receiver), LIMITS.window);
});

test("stream: writing nothing sends nothing, and is not the end", async () => {
  await using both = ends();
  await both.sender.write(new Uint8Array(0));
  await turn();
  assertEquals(both.data.bytes, 0);
  await both.sender.write(bytes(1));
  assertEquals((await both.receiver.read())?.length, 1);
});

test("stream: closing wakes a writer that waits for credit", async () => {
  await using both = ends();
  const writing = both.sender.write(new Uint8Array(2 * LIMITS.window));
  await turn();
  await both.sender.close();
  assertEquals((await assertRejects(() => writing, HoldfastError)).kind, "cancelled");
});

test("stream: cancelling wakes a reader, with the end", async () => {
  await using both = ends();
  const reading = both.receiver.read();
  await turn();
  both.receiver.cancel();
  assertEquals(await reading, null);
});

test("stream: data on its way to a reader that gave up is answered, and nothing more", async () => {
  await using both = ends();
  both.data.close();
  await both.sender.write(new Uint8Array(LIMITS.window));
  both.receiver.cancel();
  await turn();
  both.data.open();
  await turn();
  const sent = both.data.written.length;
  const answered = both.credit.written.length;
  await turn();
  assertEquals([both.data.written.length, both.credit.written.length], [sent, answered]);
});

// Windows

/** The most that is on its way at once while `total` bytes pass over a delayed link to this reader. */
async function mostInFlight(total: number, reader: "fast" | "slow"): Promise<number> {
  await using both = ends();
  const writing = both.sender.write(new Uint8Array(total));
  let read = 0;
  let most = 0;
  let next = both.receiver.read();
  both.credit.close();
  while (read < total) {
    await turn();
    // One round trip: all that may be sent is, and is read; then the credit for it goes back.
    most = Math.max(most, both.data.bytes - read);
    for (let chunks = reader === "fast" ? Infinity : 5; chunks > 0 && read < total; chunks--) {
      if (!await settled(next)) break;
      read += (await next)!.length;
      next = both.receiver.read();
    }
    both.credit.open();
    await turn();
    both.credit.close();
  }
  next.catch(() => {});
  both.credit.open();
  await writing;
  return most;
}

test("window: grows to the largest for a fast reader over a delayed link, and no further", async () => {
  const most = await mostInFlight(64 * LIMITS.window, "fast");
  assert(most > LIMITS.maxWindow / 2, `${most}`);
  assert(most < LIMITS.maxWindow * 1.01 + LIMITS.chunk, `${most}`);
});

test("window: does not grow for a reader that does not keep up", async () => {
  const most = await mostInFlight(16 * LIMITS.window, "slow");
  assert(most < LIMITS.window * 1.01 + LIMITS.chunk, `${most}`);
});

test("window: does not grow for a sender that has little to say", async () => {
  await using both = ends();
  for (let i = 0; i < 4 * LIMITS.window / LIMITS.chunk; i++) {
    await both.sender.write(new Uint8Array(LIMITS.chunk));
    await both.receiver.read();
  }
  const before = both.data.bytes;
  const writing = both.sender.write(new Uint8Array(LIMITS.maxWindow)).catch(() => {});
  await turn();
  assert(both.data.bytes - before < LIMITS.window * 1.01);
  both.receiver.cancel();
  await writing;
});

test("stream: five thousand of them, one after the other, leave nothing behind", async () => {
  await using pair = contextPair({ services: {} });
  for (let i = 0; i < LIMITS.openPerPeer + 1000; i++) {
    const sender = SendStream.open(pair.parent, 1);
    const receiver = ReceiveStream.accept(pair.child, { peer: 0, id: sender.id });
    const ending = i % 4;
    if (ending === 0) await sender.close();
    else if (ending === 1) sender.abort(io("no more"));
    else if (ending === 2) receiver.cancel();
    else receiver.fail(io("no more"));
    await receiver.read().catch(() => {});
    if (ending === 3) await sender.close();
    await sender.ended;
  }
});

test("pump: copies to the end, closes the sink and counts", async () => {
  await using both = ends();
  const chunks = [bytes(3), bytes(LIMITS.window), bytes(1)];
  const source = { read: () => Promise.resolve(chunks.shift() ?? null), cancel() {} };
  const [count, got] = await Promise.all([pump(source, both.sender), drain(both.receiver)]);
  assertEquals([count, got], [LIMITS.window + 4, LIMITS.window + 4]);
});
