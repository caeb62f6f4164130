/** Streams: credit, windows and every way to end, over a link that can be fenced. */

import { IS_DATA, IS_DEAD, MIRROR } from "../../lib/core/constants.ts";
import { HoldfastError } from "../../lib/core/errors.ts";
import type { Json } from "../../lib/core/json.ts";
import { LIMITS } from "../../lib/core/limits.ts";
import { pump, ReceiveStream, SendStream } from "../../lib/core/stream.ts";
import { assert, assertEquals, assertRejects } from "../support/assert.ts";
import { type ContextPair, contextPair } from "../support/context_pair.ts";
import { type FencedPair, fencedPair, star, turn } from "../support/fenced_link.ts";
import { test } from "../support/test.ts";

/** A stream from the parent to the child, or the other way, opened by either of them. */
interface Ends extends AsyncDisposable {
  sender: SendStream;
  receiver: ReceiveStream;
  pair: ContextPair;
  fences: FencedPair;
  /** The direction of the data. */
  data: FencedPair["down"];
  /** The direction of the credit. */
  credit: FencedPair["down"];
}

interface Arrangement {
  name: string;
  /** Who opens it. */
  opener: "sender" | "receiver";
  /** The context that sends. */
  from: 0 | 1;
}

const ARRANGEMENTS: Arrangement[] = [
  { name: "put", opener: "sender", from: 0 },
  { name: "fetch", opener: "receiver", from: 1 },
  { name: "put asked for from below", opener: "receiver", from: 0 },
  { name: "fetch offered from below", opener: "sender", from: 1 },
];

function ends({ opener, from }: Arrangement = ARRANGEMENTS[0]): Ends {
  const fences = fencedPair();
  const pair = contextPair({ services: {}, transports: fences.transports });
  const at = [pair.parent, pair.child];
  const to = 1 - from;
  let sender: SendStream;
  let receiver: ReceiveStream;
  if (opener === "sender") {
    sender = SendStream.open(at[from], to);
    receiver = ReceiveStream.accept(at[to], { peer: from, id: sender.id });
  } else {
    receiver = ReceiveStream.open(at[to], from);
    sender = SendStream.accept(at[from], { peer: to, id: receiver.id });
  }
  const { down, up } = fences;
  const [data, credit] = from === 0 ? [down, up] : [up, down];
  return {
    sender,
    receiver,
    pair,
    fences,
    data,
    credit,
    async [Symbol.asyncDispose]() {
      down.open();
      up.open();
      await pair[Symbol.asyncDispose]();
    },
  };
}

const bytes = (size: number, seed = 0) => new Uint8Array(size).map((_, at) => at * 31 + seed);
const io = (text: string) => new HoldfastError("io", text);

async function drain(receiver: ReceiveStream): Promise<number> {
  let total = 0;
  for (let chunk = await receiver.read(); chunk; chunk = await receiver.read()) {
    total += chunk.length;
  }
  return total;
}

/** Whether a promise has settled after everything that can happen has happened. */
async function settled(promise: Promise<unknown>): Promise<boolean> {
  let done = false;
  promise.then(() => done = true, () => done = true);
  await turn();
  return done;
}

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

/** What can end a stream, in every order; the other side hears of it only when the fence opens. */
const ENDINGS: Record<string, (both: Ends) => void> = {
  close: ({ sender }) => void sender.close(),
  abort: ({ sender }) => sender.abort(io("aborted")),
  cancel: ({ receiver }) => receiver.cancel(io("cancelled")),
  fail: ({ receiver }) => receiver.fail(io("failed")),
  cut: ({ pair }) => pair.cut(),
};

for (const [first, end] of Object.entries(ENDINGS)) {
  for (const [second, endAgain] of Object.entries(ENDINGS)) {
    for (const when of ["before credit", "after credit"]) {
      test(`stream: ${first} and then ${second}, both on the way, ${when}`, async () => {
        await using both = ends();
        const writing = both.sender.write(new Uint8Array(2 * LIMITS.window));
        writing.catch(() => {});
        await turn();
        both.data.close();
        both.credit.close();
        if (when === "after credit") {
          for (let i = 0; i < 8; i++) await both.receiver.read();
        }
        end(both);
        endAgain(both);
        both.credit.open();
        await turn();
        both.data.open();
        await turn();
        both.pair.cut();
        // Nobody waits for ever, and the handles are free for others.
        await writing.catch(() => {});
        await drain(both.receiver).catch(() => {});
        await both.sender.ended;
        assertEquals(await settled(both.sender.close()), true);
        const { pair: { child }, sender: { id } } = both;
        ReceiveStream.accept(child, { peer: 0, id }).cancel();
      });
    }
  }
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

// A hostile end, by hand

function hostile() {
  const tree = star();
  const peer = tree.child(5);
  const data = (handle: number, size: number) =>
    peer.send({ handle, replyTo: IS_DATA }, new Uint8Array(size));
  const control = (handle: number, value: Json) => peer.send({ handle }, value);
  const end = { kind: "io", description: "forged" };
  return {
    tree,
    peer,
    data,
    control,
    end,
    [Symbol.asyncDispose]: () => tree[Symbol.asyncDispose](),
  };
}

test("stream: a sender that overruns its credit is cut off, and the reader is told why", async () => {
  await using enemy = hostile();
  const stream = ReceiveStream.open(enemy.tree.router, 5);
  const reading = stream.read();
  enemy.data(stream.id, LIMITS.window);
  await turn();
  enemy.data(stream.id, LIMITS.chunk);
  enemy.data(stream.id, 1);
  await turn();
  assertEquals((await reading)?.length, LIMITS.window);
  // The first read gave a quarter back, so that one chunk more was within the credit.
  const cutOff = ReceiveStream.open(enemy.tree.router, 5);
  enemy.data(cutOff.id, LIMITS.window);
  enemy.data(cutOff.id, 1);
  await turn();
  assertEquals((await assertRejects(() => cutOff.read(), HoldfastError)).kind, "limit");
  const dead = enemy.peer.frames.filter(({ replyTo, handle }) =>
    replyTo === IS_DEAD && handle === cutOff.id + MIRROR
  );
  assertEquals(dead.length, 1);
});

test("stream: data after the end goes nowhere", async () => {
  await using enemy = hostile();
  const stream = ReceiveStream.open(enemy.tree.router, 5);
  enemy.data(stream.id, 3);
  enemy.data(stream.id, 0);
  enemy.data(stream.id, 4);
  enemy.data(stream.id, 0);
  await turn();
  assertEquals([await drain(stream), await stream.read()], [3, null]);
});

for (const credit of [0, -1, 0.5, 1e-9, "9", null, true, [1], { valueOf: 1 }]) {
  test(`stream: a credit of ${JSON.stringify(credit)} is none`, async () => {
    await using enemy = hostile();
    const stream = SendStream.open(enemy.tree.router, 5);
    const writing = stream.write(new Uint8Array(LIMITS.window + 1));
    await turn();
    const sent = () => enemy.peer.frames.filter(({ replyTo }) => replyTo === IS_DATA);
    const before = sent().length;
    enemy.control(stream.id, { credit });
    assert(!await settled(writing));
    assertEquals(sent().length, before);
    enemy.control(stream.id, { credit: 1 });
    await writing;
  });
}

test("stream: no credit makes a sender send more than the largest window", async () => {
  await using enemy = hostile();
  const stream = SendStream.open(enemy.tree.router, 5);
  for (let i = 0; i < 100; i++) {
    enemy.peer.send({ handle: stream.id }, new TextEncoder().encode('{"credit":1e300}'));
    enemy.peer.send({ handle: stream.id }, new TextEncoder().encode('{"credit":1e999}'));
  }
  await turn();
  const writing = stream.write(new Uint8Array(4 * LIMITS.maxWindow));
  assert(!await settled(writing));
  const sent = enemy.peer.frames.reduce((sum, { payload }) => sum + payload.length, 0);
  assertEquals(sent, LIMITS.maxWindow);
  stream.abort(io("enough"));
  await assertRejects(() => writing);
});

for (const payload of ["", "{", "[]", '{"credit":{}}']) {
  test(`stream: a credit message of ${JSON.stringify(payload)} is dropped and the stream lives`, async () => {
    await using enemy = hostile();
    const stream = SendStream.open(enemy.tree.router, 5);
    enemy.peer.send({ handle: stream.id }, new TextEncoder().encode(payload));
    await turn();
    await stream.write(bytes(3));
    await turn();
    assertEquals(enemy.peer.frames.at(-1)?.payload.length, 3);
  });
}

test("stream: another context cannot end, feed or credit it", async () => {
  await using enemy = hostile();
  const other = enemy.tree.child(6);
  const { router } = enemy.tree;
  const read = ReceiveStream.open(router, 5);
  const write = SendStream.accept(router, { peer: 5, id: 4000 });
  for (const handle of [read.id, MIRROR + 4000]) {
    other.send({ handle, replyTo: IS_DEAD }, enemy.end);
    other.send({ handle, replyTo: IS_DATA }, bytes(3));
    other.send({ handle }, { credit: 5 });
  }
  await turn();
  enemy.data(read.id, 2);
  await turn();
  assertEquals((await read.read())?.length, 2);
  await write.write(bytes(1));
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
