/** Descriptors that were handed over: every kind is read and written to its end, and is left as it was. */
import { HoldfastError } from "../../lib/core/errors.ts";
import { Descriptor } from "../../lib/mux/descriptor.ts";
import { O_NONBLOCK, O_RDWR, O_WRONLY } from "../../lib/mux/libc.ts";
import { Readiness } from "../../lib/mux/readiness.ts";
import { assert, assertEquals, assertRejects } from "../support/assert.ts";
import { tempDir } from "../support/temp.ts";
import { test } from "../support/test.ts";
import {
  asSomebodyElse,
  openDescriptors,
  openPath,
  type Own,
  pipe,
  socketPair,
  terminal,
} from "./descriptors.ts";

const O_CREAT_APPEND = 0o100 | 0o2000;

const linux = test.needs("linux");
/** As root everything can be opened anew. */
const others = test.needs("linux", "root");

/** What a test begins with; afterwards no descriptor may be left. */
async function check(
  body: (world: {
    readiness: Readiness;
    reading(own: Own): Descriptor;
    writing(own: Own): Descriptor;
  }) => Promise<void>,
): Promise<void> {
  const before = openDescriptors();
  const readiness = new Readiness();
  try {
    await body({
      readiness,
      reading: (own) => new Descriptor(own.share(), { use: "read", readiness, owner: Deno.pid }),
      writing: (own) => new Descriptor(own.share(), { use: "write", readiness, owner: Deno.pid }),
    });
  } finally {
    await readiness.close();
  }
  const left = [...openDescriptors()].filter(([number, to]) => before.get(number) !== to);
  assertEquals(left, []);
}

async function text(from: Descriptor): Promise<string | null> {
  const bytes = await from.read();
  return bytes && new TextDecoder().decode(bytes);
}

async function writeAll(to: Descriptor, bytes: Uint8Array): Promise<void> {
  for (let at = 0; at < bytes.length;) at += await to.write(bytes.subarray(at));
}

/** What a terminal carries comes when the system gets to it. */
async function takeAll(
  from: Own,
  { length, readiness }: { length: number; readiness: Readiness },
): Promise<string> {
  let all = "";
  while (all.length < length) {
    await readiness.wait(from.number, "read");
    all += from.take() ?? "";
  }
  readiness.forget(from.number);
  return all;
}

async function isGone(what: Promise<unknown>): Promise<void> {
  const error = await assertRejects(() => what, HoldfastError);
  assertEquals((error as HoldfastError).kind, "io");
}

const encode = (text: string) => new TextEncoder().encode(text);

for (const [name, make] of [["pipe", pipe], ["socket pair", socketPair]] as const) {
  for (const blocks of [true, false]) {
    const title = `${name} that ${blocks ? "blocks" : "does not block"}`;

    linux(
      `descriptor: ${title}: read to its end, its flags untouched`,
      () =>
        check(async ({ reading }) => {
          const [reader, writer] = make({ blocks });
          const { flags } = reader;
          const from = reading(reader);
          writer.put("one");
          assertEquals(await text(from), "one");
          const next = text(from);
          writer.put("two");
          assertEquals(await next, "two");
          const last = from.read();
          writer.close();
          assertEquals(await last, null);
          assertEquals([reader.flags, (flags & O_NONBLOCK) !== 0], [flags, !blocks]);
          from.close();
          reader.close();
        }),
    );

    linux(
      `descriptor: ${title}: closed while it is waited for, it takes nothing more`,
      () =>
        check(async ({ reading }) => {
          const [reader, writer] = make({ blocks });
          const from = reading(reader);
          const waiting = from.read();
          from.close();
          assertEquals(await waiting, null);
          writer.put("for who comes next");
          assertEquals(await from.read(), null);
          assertEquals(reader.take(), "for who comes next");
          reader.close();
          writer.close();
        }),
    );

    linux(
      `descriptor: ${title}: read in sips, each byte written arrives once`,
      () =>
        check(async ({ writing }) => {
          const [reader, writer] = make({ blocks });
          const { flags } = writer;
          const to = writing(writer);
          writer.close();
          const sent = crypto.getRandomValues(new Uint8Array(60_000)).toHex().repeat(10);
          const all = writeAll(to, encode(sent)).then(() => to.close());
          let came = "";
          for (let some = reader.take(1000); some !== ""; some = reader.take(1000)) {
            came += some ?? "";
            if (some === null || came.length % 10_000 === 0) {
              await new Promise((r) => setTimeout(r));
            }
          }
          await all;
          assert(came === sent, `${came.length} of ${sent.length}`);
          assertEquals((flags & O_NONBLOCK) !== 0, !blocks);
          reader.close();
        }),
    );

    linux(
      `descriptor: ${title}: a reader that is gone is told, one that stands still ended`,
      () =>
        check(async ({ writing }) => {
          const [reader, writer] = make({ blocks });
          const to = writing(writer);
          const full = writeAll(to, new Uint8Array(4_000_000));
          reader.close();
          await isGone(full);
          await isGone(to.write(encode("x")));
          to.close();
          writer.close();
          const [still, other] = make({ blocks });
          const stuck = writing(other);
          const waiting = writeAll(stuck, new Uint8Array(4_000_000));
          stuck.close();
          await isGone(waiting);
          still.close();
          other.close();
        }),
    );
  }
}

linux("descriptor: two who write while it is full both go on", () =>
  check(async ({ writing }) => {
    const [reader, writer] = pipe();
    writer.fill();
    const to = writing(writer);
    const both = [to.write(encode("a")), to.write(encode("b"))];
    await Promise.resolve();
    for (let some = reader.take(); some !== null; some = reader.take()) await null;
    assertEquals(await Promise.all(both), [1, 1]);
    assertEquals(reader.take(), "ab");
    for (const one of [to, reader, writer]) one.close();
  }));

linux(
  "descriptor: a file goes on where others left it, and so do they after it",
  () =>
    check(async ({ reading, writing }) => {
      await using dir = await tempDir();
      const path = dir.join("file");
      await Deno.writeTextFile(path, "firstrest");
      using file = openPath(path, O_RDWR);
      assertEquals(file.take(5), "first");
      const from = reading(file);
      assertEquals(await text(from), "rest");
      assertEquals(await from.read(), null);
      assertEquals(file.position, 9);
      from.close();
      assertEquals(await from.read(), null);
      const to = writing(file);
      await writeAll(to, encode("more"));
      file.put("!");
      await writeAll(to, encode("?"));
      to.close();
      assertEquals(await Deno.readTextFile(path), "firstrestmore!?");
      assertEquals(file.flags & O_NONBLOCK, 0);
    }),
);

linux(
  "descriptor: to a file that is appended to, others' lines stay",
  () =>
    check(async ({ writing }) => {
      await using dir = await tempDir();
      const path = dir.join("file");
      using file = openPath(path, O_WRONLY | O_CREAT_APPEND);
      await Deno.chmod(path, 0o600);
      const to = writing(file);
      await writeAll(to, encode("one "));
      await Deno.writeTextFile(path, "two ", { append: true });
      await writeAll(to, encode("three"));
      to.close();
      assertEquals(await Deno.readTextFile(path), "one two three");
    }),
);

linux(
  "descriptor: /dev/null has nothing, and takes everything; /dev/full is told",
  () =>
    check(async ({ reading, writing }) => {
      using nothing = openPath("/dev/null", O_RDWR);
      const from = reading(nothing);
      assertEquals(await from.read(), null);
      const to = writing(nothing);
      await writeAll(to, new Uint8Array(1_000_000));
      using full = openPath("/dev/full", O_WRONLY);
      const none = writing(full);
      await isGone(none.write(encode("x")));
      for (const one of [from, to, none]) one.close();
    }),
);

linux(
  "descriptor: what is open for the other use only is neither read nor written",
  () =>
    check(async ({ reading, writing }) => {
      const [reader, writer] = pipe();
      writer.put("not ours");
      const from = reading(writer);
      assertEquals(await from.read(), null);
      const to = writing(reader);
      await isGone(to.write(encode("x")));
      assertEquals(reader.take(), "not ours");
      for (const one of [from, to, reader, writer]) one.close();
    }),
);

linux(
  "descriptor: on a terminal lines come, sizes are seen, and who reads next loses nothing",
  () =>
    check(async ({ readiness, reading, writing }) => {
      const { user, terminal: end } = terminal();
      const { flags } = end;
      const from = reading(end);
      const to = writing(end);
      user.put("typed\n");
      assertEquals(await text(from), "typed\n");
      assertEquals(from.size(), null);
      const shell = new Deno.Command("stty", {
        args: ["-F", Deno.readLinkSync(`/proc/self/fd/${end.number}`), "rows", "41", "cols", "99"],
      });
      assert((await shell.output()).success);
      assertEquals([from.size(), to.size()], Array(2).fill({ rows: 41, columns: 99 }));
      await writeAll(to, encode("shown"));
      assertEquals(await takeAll(user, { length: 12, readiness }), "typed\r\nshown");
      const waiting = from.read();
      from.close();
      assertEquals([await waiting, from.size()], [null, null]);
      user.put("for the shell\n");
      assertEquals(await takeAll(end, { length: 14, readiness }), "for the shell\n");
      assertEquals([end.flags, flags & O_NONBLOCK], [flags, 0]);
      // One that is stopped (^S) holds nobody up.
      user.put("\x13");
      const stopped = writeAll(to, new Uint8Array(100_000));
      to.close();
      await isGone(stopped);
      end.close();
      user.close();
    }),
);

linux(
  "descriptor: /dev/ptmx opened anew would be another terminal: this one is read",
  () =>
    check(async ({ reading }) => {
      const { user, terminal: end } = terminal();
      const from = reading(user);
      end.put("from the program");
      assertEquals(await text(from), "from the program");
      for (const one of [from, end, user]) one.close();
    }),
);

others(
  "descriptor: another user's pipes hold up nobody, however many stand still",
  () =>
    check(async ({ reading, writing }) => {
      const pipes = Array.from({ length: 40 }, () => pipe({ blocks: true }));
      const [ours, theirs] = asSomebodyElse(() => [
        pipes.map(([, writer]) => writing(writer)),
        pipes.map(([reader]) => reading(reader)),
      ]);
      const stuck = ours.map((one) => isGone(writeAll(one, new Uint8Array(200_000))));
      await using dir = await tempDir();
      await Deno.writeTextFile(dir.join("file"), "content");
      using file = openPath(dir.join("file"), 0);
      const from = reading(file);
      assertEquals(await text(from), "content");
      from.close();
      // Room is used again, and the end is seen.
      for (let total = 0; total < 120_000;) total += (await theirs[0].read())!.length;
      for (const one of [...ours, ...theirs]) one.close();
      await Promise.all(stuck);
      for (const both of pipes) both.forEach((one) => one.close());
    }),
);

others(
  "descriptor: another user's pipe is read to its end, and no further than it is closed",
  () =>
    check(async ({ reading }) => {
      const [reader, writer] = pipe({ blocks: true });
      const from = asSomebodyElse(() => reading(reader));
      const first = text(from);
      writer.put("one");
      assertEquals(await first, "one");
      const waiting = from.read();
      from.close();
      assertEquals(await waiting, null);
      writer.put("for who comes next");
      assertEquals(reader.take(), "for who comes next");
      const last = asSomebodyElse(() => reading(reader));
      const end = last.read();
      writer.close();
      assertEquals(await end, null);
      last.close();
      reader.close();
    }),
);

others(
  "descriptor: closed while it waits for a thread, it writes to nobody else's file",
  () =>
    check(async ({ readiness, reading }) => {
      await using dir = await tempDir();
      for (const name of ["mine", "theirs"]) await Deno.writeTextFile(dir.join(name), "");
      const [reader, writer] = pipe({ blocks: true });
      // All are woken by one byte, and those that do not get it hold their threads.
      const many = asSomebodyElse(() => Array.from({ length: 14 }, () => reading(reader)));
      const reads = many.map((one) => one.read());
      writer.put("x");
      await Promise.race(reads);
      using file = openPath(dir.join("mine"), O_WRONLY);
      const number = file.share();
      const to = new Descriptor(number, { use: "write", readiness, owner: Deno.pid });
      const waiting = isGone(to.write(encode("mine")));
      to.close();
      using theirs = openPath(dir.join("theirs"), O_WRONLY);
      assertEquals(theirs.number, number);
      writer.close();
      await Promise.all(reads);
      await waiting;
      assertEquals(await Deno.readTextFile(dir.join("theirs")), "");
      for (const one of [...many, reader]) one.close();
    }),
);
