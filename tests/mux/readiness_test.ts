/** Waiting for descriptors: who is woken, when, and what becomes of numbers that are used again. */
import { Readiness } from "../../lib/mux/readiness.ts";
import { assertEquals } from "../support/assert.ts";
import { tempDir } from "../support/temp.ts";
import { test } from "../support/test.ts";
import { openDescriptors, openPath, pipe, socketPair } from "./descriptors.ts";

const linux = test.needs("linux");

/** Whether it has resolved once all that is on its way has arrived; another descriptor that is ready shows that. */
async function isDone(wait: Promise<void>, readiness: Readiness): Promise<boolean> {
  let done = false;
  void wait.then(() => done = true);
  for (let turn = 0; turn < 3; turn++) {
    const [reader, writer] = pipe();
    writer.put("x");
    await readiness.wait(reader.number, "read");
    readiness.forget(reader.number);
    reader.close();
    writer.close();
  }
  return done;
}

linux(
  "readiness: a pipe and a socket wake when there is something to read, and at the end",
  async () => {
    const readiness = new Readiness();
    for (const make of [pipe, socketPair]) {
      const [reader, writer] = make();
      const first = readiness.wait(reader.number, "read");
      assertEquals(await isDone(first, readiness), false);
      writer.put("x");
      await first;
      reader.take();
      const second = readiness.wait(reader.number, "read");
      assertEquals(await isDone(second, readiness), false);
      writer.close();
      await second;
      readiness.forget(reader.number);
      reader.close();
    }
    await readiness.close();
  },
);

linux("readiness: a full pipe wakes when there is room, and when its reader is gone", async () => {
  const readiness = new Readiness();
  const [reader, writer] = pipe();
  writer.fill();
  const room = readiness.wait(writer.number, "write");
  assertEquals(await isDone(room, readiness), false);
  reader.take();
  await room;
  writer.fill();
  const gone = readiness.wait(writer.number, "write");
  reader.close();
  await gone;
  readiness.forget(writer.number);
  writer.close();
  await readiness.close();
});

linux("readiness: what cannot be waited for is ready at once", async () => {
  await using dir = await tempDir();
  await Deno.writeTextFile(dir.join("file"), "x");
  const readiness = new Readiness();
  for (const path of [dir.join("file"), "/dev/null"]) {
    using file = openPath(path, 0);
    await readiness.wait(file.number, "read");
    readiness.forget(file.number);
  }
  await readiness.wait(99_999, "read");
  await readiness.close();
  await readiness.wait(0, "read");
});

linux("readiness: several who wait for one descriptor are all woken", async () => {
  const readiness = new Readiness();
  const [reader, writer] = pipe();
  const waits = [1, 2, 3].map(() => readiness.wait(reader.number, "read"));
  writer.put("x");
  await Promise.all(waits);
  readiness.forget(reader.number);
  reader.close();
  writer.close();
  await readiness.close();
});

linux(
  "readiness: forgetting ends a wait, and a number used again has nothing of the old",
  async () => {
    const readiness = new Readiness();
    const [reader, writer] = pipe();
    const { number } = reader;
    const old = readiness.wait(number, "read");
    readiness.forget(number);
    await old;
    using shared = openPath(`/proc/self/fd/${number}`, 0); // so that the pipe itself stays
    reader.close();
    writer.put("x");
    const [again, other] = pipe();
    assertEquals(again.number, number);
    const wait = readiness.wait(again.number, "read");
    assertEquals(await isDone(wait, readiness), false);
    other.put("y");
    await wait;
    readiness.forget(again.number);
    for (const one of [again, other, writer, shared]) one.close();
    await readiness.close();
  },
);

linux("readiness: closing it ends all waits and leaves no descriptor", async () => {
  const before = openDescriptors().size;
  const readiness = new Readiness();
  const [[a, b], [c, d]] = [pipe(), pipe()];
  const waits = [a, c].map(({ number }) => readiness.wait(number, "read"));
  await readiness.close();
  await Promise.all(waits);
  await readiness.close();
  for (const one of [a, b, c, d]) one.close();
  assertEquals(openDescriptors().size, before);
});
