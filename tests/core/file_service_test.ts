/** The file service between two contexts on real files: the same criteria for `put` and for `fetch`. */

import { fetchFiles, putFiles, type TransferOptions } from "../../lib/client/transfer.ts";
import { HoldfastError } from "../../lib/core/errors.ts";
import { FileService } from "../../lib/core/file_service.ts";
import type { ByteSource, Host, Transport } from "../../lib/core/host.ts";
import { denoHost } from "../../lib/core/host_deno.ts";
import { ReceiveStream, SendStream } from "../../lib/core/stream.ts";
import {
  BLOCK,
  DATA,
  END_OF_FILE,
  type TreeEntry,
  type TreeTotals,
  TreeWriter,
} from "../../lib/core/tree_format.ts";
import { assert, assertEquals, assertRejects, assertStringIncludes } from "../support/assert.ts";
import { type ContextPair, contextPair } from "../support/context_pair.ts";
import { type TempDir, tempDir } from "../support/temp.ts";
import { test } from "../support/test.ts";

interface Bench extends AsyncDisposable {
  dir: TempDir;
  pair: ContextPair;
  service: FileService;
  copy(
    sources: string[],
    destination: string,
    options?: TransferOptions,
  ): Promise<TreeTotals>;
}

type Direction = "put" | "fetch";

interface BenchOptions {
  /** The host of the side that receives. */
  receiver?: Host;
  wrap?(transport: Transport): Transport;
}

async function bench(direction: Direction, options: BenchOptions = {}): Promise<Bench> {
  const dir = await tempDir();
  const { receiver = denoHost, wrap } = options;
  const service = new FileService(direction === "put" ? receiver : denoHost);
  const pair = contextPair({ services: { file: service.service }, wrap });
  return {
    dir,
    pair,
    service,
    copy: (sources, destination, rest) =>
      direction === "put"
        ? putFiles(pair.parent, 1, { sources, destination, ...rest })
        : fetchFiles(pair.parent, 1, { sources, destination, host: receiver, ...rest }),
    async [Symbol.asyncDispose]() {
      await pair[Symbol.asyncDispose]();
      await service.close();
      await dir[Symbol.asyncDispose]();
    },
  };
}

function both(
  name: string,
  body: (bench: Bench, direction: Direction) => Promise<void>,
  options?: BenchOptions,
): void {
  for (const direction of ["put", "fetch"] as const) {
    test(`${direction}: ${name}`, async () => {
      await using made = await bench(direction, options);
      await body(made, direction);
    });
  }
}

async function snapshot(root: string): Promise<Record<string, string>> {
  const found: Record<string, string> = {};
  const visit = async (path: string, name: string): Promise<void> => {
    const info = await Deno.lstat(path);
    const mode = (info.mode! & 0o7777).toString(8);
    if (info.isSymlink) found[name] = `link ${await Deno.readLink(path)}`;
    else if (info.isDirectory) {
      found[name] = `directory ${mode} ${info.mtime!.getTime()}`;
      for await (const entry of Deno.readDir(path)) {
        await visit(`${path}/${entry.name}`, `${name}/${entry.name}`);
      }
    } else {
      const content = await Deno.readFile(path);
      const hash = new Uint8Array(await crypto.subtle.digest("SHA-256", content));
      found[name] = `file ${mode} ${info.mtime!.getTime()} ${content.length} ${hash}`;
    }
  };
  await visit(root, "");
  return found;
}

function noise(size: number): Uint8Array {
  const bytes = new Uint8Array(size);
  for (let at = 0; at < size; at++) bytes[at] = (at * 2654435761) >>> 13;
  return bytes;
}

async function write(path: string, content: string | Uint8Array, mode = 0o644): Promise<void> {
  const bytes = typeof content === "string" ? new TextEncoder().encode(content) : content;
  await Deno.writeFile(path, bytes);
  await Deno.chmod(path, mode);
}

const NAMES = [
  "a b",
  "line\nbreak",
  "'quote\"",
  "-rf",
  "\\back",
  "e\u0301",
  "\u00e9",
  "*?[",
  "x".repeat(255),
  "…",
  "\ufffd",
];

both("modes, times, links, empty directories, sizes and names arrive", async ({ dir, copy }) => {
  const tree = dir.join("tree");
  await Deno.mkdir(`${tree}/empty`, { recursive: true });
  await Deno.mkdir(`${tree}/closed/inner`, { recursive: true });
  for (const size of [0, 1, BLOCK - 1, BLOCK, BLOCK + 1, 3 * BLOCK]) {
    await write(`${tree}/size ${size}`, noise(size));
  }
  for (const mode of [0o600, 0o444, 0o777, 0o4755, 0o2750, 0o1644]) {
    await write(`${tree}/mode ${mode}`, "x", mode);
  }
  for (const name of NAMES) await write(`${tree}/${name}`, name);
  await Deno.symlink("size 1", `${tree}/link`);
  await Deno.symlink("/no/such/thing", `${tree}/dangling`);
  await Deno.symlink("..", `${tree}/closed/up`);
  await write(`${tree}/closed/inner/file`, "x");
  await Deno.utime(`${tree}/size 1`, 1e9, 1e9 + 0.25);
  await Deno.chmod(`${tree}/closed`, 0o500);
  await Deno.utime(`${tree}/closed`, 86400, 86400);
  await Deno.utime(tree, 1e9, 1e9);
  const totals = await copy([tree], dir.join("copy"));
  assertEquals(await snapshot(dir.join("copy")), await snapshot(tree));
  assertEquals(totals.directories, 4);
  assertEquals(totals.links, 3);
  assertEquals(totals.files, 13 + NAMES.length);
  assertEquals(totals.bytes > 6 * BLOCK, true);
  await Deno.chmod(`${tree}/closed`, 0o700);
  await Deno.chmod(dir.join("copy/closed"), 0o700);
});

both("a thousand small files arrive", async ({ dir, copy }) => {
  const tree = dir.join("tree");
  await Deno.mkdir(tree);
  for (let i = 0; i < 1000; i++) await write(`${tree}/${i}`, `${i}`);
  assertEquals((await copy([tree], dir.join("copy"))).files, 1000);
  assertEquals(await snapshot(dir.join("copy")), await snapshot(tree));
});

both("placement follows cp -a", async ({ dir, copy }) => {
  const at = dir.join;
  await Deno.mkdir(at("tree/sub"), { recursive: true });
  await write(at("tree/sub/f"), "tree");
  await write(at("one"), "1");
  await write(at("two"), "2");
  await Deno.mkdir(at("into"));
  await Deno.symlink("into", at("door"));
  await copy([at("one")], at("new"));
  assertEquals(await Deno.readTextFile(at("new")), "1");
  await copy([at("two")], at("new"));
  assertEquals(await Deno.readTextFile(at("new")), "2");
  await copy([at("one"), at("tree/")], at("into"));
  assertEquals(await Deno.readTextFile(at("into/one")), "1");
  assertEquals(await Deno.readTextFile(at("into/tree/sub/f")), "tree");
  await copy([at("two")], at("door"));
  assertEquals(await Deno.readTextFile(at("into/two")), "2");
  await copy([at("tree/.")], at("into"));
  assertEquals(await Deno.readTextFile(at("into/sub/f")), "tree");
  await copy([at("tree")], at("fresh/"));
  assertEquals(await Deno.readTextFile(at("fresh/sub/f")), "tree");
  await write(at("tree/sub/f"), "merged");
  await write(at("into/tree/kept"), "kept");
  await copy([at("tree")], at("into"));
  assertEquals(await Deno.readTextFile(at("into/tree/sub/f")), "merged");
  assertEquals(await Deno.readTextFile(at("into/tree/kept")), "kept");
});

both("content goes through a link that was named, a link replaces a link", async (bench) => {
  const { dir: { join }, copy } = bench;
  await Deno.mkdir(join("real"));
  await write(join("real/file"), "old");
  await Deno.symlink("real/file", join("link"));
  await write(join("source"), "new");
  await copy([join("source")], join("link"));
  assertEquals(await Deno.readLink(join("link")), "real/file");
  assertEquals(await Deno.readTextFile(join("real/file")), "new");
  await Deno.symlink("nowhere", join("dangling"));
  await copy([join("dangling")], join("link"));
  assertEquals(await Deno.readLink(join("link")), "nowhere");
  assertStringIncludes(
    (await assertRejects(() => copy([join("source")], join("dangling")), HoldfastError)).message,
    "it is a link to nothing",
  );
});

both("what cannot be placed is refused and nothing changes", async ({ dir, copy }) => {
  const at = dir.join;
  await Deno.mkdir(at("tree/clash"), { recursive: true });
  await write(at("file"), "file");
  await write(at("other"), "other");
  await Deno.mkdir(at("into/file"), { recursive: true });
  await write(at("into/tree"), "old");
  await Deno.mkdir(at("sub"));
  await write(at("sub/file"), "same name");
  const before = await snapshot(dir.path);
  const refused = async (sources: string[], destination: string, text: string) => {
    const copying = () => copy(sources.map(at), at(destination));
    assertStringIncludes((await assertRejects(copying, HoldfastError)).message, text);
  };
  await refused(["file", "other"], "missing", `no such directory`);
  await refused(["file", "other"], "file", `not a directory`);
  await refused(["file"], "missing/", `no such directory`);
  await refused(["file"], "missing/name", `no such file or directory`);
  await refused(["file"], "into", `into/file": it is a directory`);
  await refused(["tree"], "into", `into/tree": something else has its name`);
  await refused(["tree"], "other", `something else has its name`);
  await refused(["absent"], "new", `absent": no such file or directory`);
  assertEquals(await snapshot(dir.path), before);
  await Deno.mkdir(at("empty"));
  await refused(["sub/file", "file"], "empty", `two sources have its name`);
});

both("pipes are left out and named, but an error when asked for", async ({ dir, copy }) => {
  await Deno.mkdir(dir.join("tree"));
  await write(dir.join("tree/file"), "x");
  await new Deno.Command("mkfifo", { args: [dir.join("tree/pipe")] }).output();
  const skipped: string[] = [];
  const totals = await copy([dir.join("tree")], dir.join("copy"), {
    onSkip: (path) => skipped.push(path.slice(path.lastIndexOf("/") + 1)),
  });
  assertEquals(skipped, ["pipe"]);
  assertEquals(totals.skipped, 1);
  await assertRejects(() => copy([dir.join("tree/pipe")], dir.join("x")), HoldfastError, "pipe");
});

both("a name that is not UTF-8 fails the transfer, named", async ({ dir, copy }) => {
  await Deno.mkdir(dir.join("tree"));
  const script = `touch "$1/$(printf 'caf\\351')"`;
  await new Deno.Command("sh", { args: ["-c", script, "sh", dir.join("tree")] }).output();
  const copying = () => copy([dir.join("tree")], dir.join("copy"));
  const error = await assertRejects(copying, HoldfastError, "not valid UTF-8");
  assertStringIncludes(error.message, "tree/caf");
  await new Deno.Command("rm", { args: ["-r", dir.join("tree")] }).output();
});

both("files whose size is not told are read to their end", async ({ dir, copy }) => {
  await copy(["/proc/self/limits"], dir.join("copy"));
  const expected = await Deno.readTextFile("/proc/self/limits");
  assertEquals(await Deno.readTextFile(dir.join("copy")), expected);
});

both("progress ends with all bytes", async ({ dir, copy }) => {
  await write(dir.join("file"), noise(2 * BLOCK + 5));
  const seen: number[] = [];
  await copy([dir.join("file")], dir.join("copy"), { onProgress: ({ done }) => seen.push(done) });
  assertEquals(seen, [BLOCK, 2 * BLOCK, 2 * BLOCK + 5]);
});

/** A host on which writing fails after `limit` bytes, as on a full disk. */
function fullDisk(limit: number): Host {
  let left = limit;
  return {
    ...denoHost,
    // Without the ways around `create`.
    runtime: "direct",
    async create(path, mode) {
      const file = await denoHost.create(path, mode);
      return {
        ...file,
        write(bytes) {
          left -= bytes.length;
          if (left >= 0) return file.write(bytes);
          const text = `Cannot write ${JSON.stringify(path)}: no space left on the device`;
          return Promise.reject(new HoldfastError("io", text));
        },
      };
    },
  };
}

both("a full disk is told as such, the old file stays and no litter", async ({ dir, copy }) => {
  await Deno.mkdir(dir.join("into"));
  await write(dir.join("into/big"), "old", 0o640);
  await write(dir.join("big"), noise(20 * BLOCK));
  const before = await snapshot(dir.join("into/big"));
  const error = await assertRejects(() => copy([dir.join("big")], dir.join("into")), HoldfastError);
  assertEquals(error.kind, "io");
  assertEquals(
    error.message,
    `Cannot write "${dir.join("into/big")}": no space left on the device`,
  );
  assertEquals(await snapshot(dir.join("into/big")), before);
  assertEquals([...Deno.readDirSync(dir.join("into"))].length, 1);
}, { receiver: fullDisk(3 * BLOCK) });

both("the first of many small files that fails ends the transfer without litter", async (bench) => {
  const { dir, copy } = bench;
  await Deno.mkdir(dir.join("tree"));
  for (let i = 0; i < 300; i++) await write(dir.join(`tree/${i}`), "x".repeat(1000));
  const error = await assertRejects(
    () => copy([dir.join("tree")], dir.join("copy")),
    HoldfastError,
  );
  assertStringIncludes(error.message, "no space left");
  assertEquals([...Deno.readDirSync(dir.path)].map(({ name }) => name), ["tree"]);
}, { receiver: fullDisk(100_000) });

test("put: a source that fails in the middle leaves the old file and no litter", async () => {
  await using made = await bench("put");
  const { dir, pair } = made;
  await Deno.mkdir(dir.join("into"));
  await write(dir.join("into/file"), "old");
  let reads = 0;
  const source: ByteSource = {
    read() {
      if (reads++ < 3) return Promise.resolve(noise(BLOCK));
      return Promise.reject(new HoldfastError("io", `Cannot read "film": input/output error`));
    },
    cancel() {},
  };
  const putting = () =>
    putFiles(pair.parent, 1, { sources: [source], destination: dir.join("into/file") });
  await assertRejects(putting, HoldfastError, `Cannot read "film": input/output error`);
  assertEquals([...Deno.readDirSync(dir.join("into"))].map(({ name }) => name), ["file"]);
  assertEquals(await Deno.readTextFile(dir.join("into/file")), "old");
});

/** Flips a bit of one byte of the `nth` large write. */
function damage(transport: Transport, nth: number): Transport {
  let seen = 0;
  const flip = (bytes: Uint8Array): Uint8Array => {
    if (bytes.length < 60_000 || ++seen !== nth) return bytes;
    const copy = bytes.slice();
    copy[copy.length >> 1] ^= 1;
    return copy;
  };
  return {
    async read() {
      const bytes = await transport.read();
      return bytes && flip(bytes);
    },
    write: (bytes) => transport.write(flip(bytes)),
    close: () => transport.close(),
  };
}

both("damage on the way is found, the old file stays and no litter", async ({ dir, copy }) => {
  await Deno.mkdir(dir.join("into"));
  await write(dir.join("into/big"), "old");
  await write(dir.join("big"), noise(3 * BLOCK));
  const error = await assertRejects(() => copy([dir.join("big")], dir.join("into")), HoldfastError);
  assertEquals(error.kind, "corrupt");
  assertStringIncludes(error.message, "into/big");
  assertEquals(Object.keys(await snapshot(dir.join("into"))), ["", "/big"]);
  assertEquals(await Deno.readTextFile(dir.join("into/big")), "old");
}, { wrap: (transport) => damage(transport, 20) });

both("cancelling ends both sides and leaves no litter", async ({ dir, copy, service }) => {
  await Deno.mkdir(dir.join("into"));
  await write(dir.join("big"), noise(30 * BLOCK));
  const controller = new AbortController();
  const copying = () =>
    copy([dir.join("big")], dir.join("into"), {
      signal: controller.signal,
      onProgress: () => controller.abort(),
    });
  const error = await assertRejects(copying, HoldfastError);
  assertEquals(error.kind, "cancelled");
  await service.close();
  assertEquals([...Deno.readDirSync(dir.join("into"))], []);
});

both("a lost link ends both sides and leaves no litter", async ({ dir, copy, service, pair }) => {
  await Deno.mkdir(dir.join("into"));
  await write(dir.join("big"), noise(30 * BLOCK));
  const copying = () => copy([dir.join("big")], dir.join("into"), { onProgress: () => pair.cut() });
  const error = await assertRejects(copying, HoldfastError);
  assertEquals(error.kind, "disconnected");
  await service.close();
  assertEquals([...Deno.readDirSync(dir.join("into"))], []);
});

test("put: a context without the service is told as such", async () => {
  await using pair = contextPair({ services: {} });
  const putting = () => putFiles(pair.parent, 1, { sources: ["/etc/passwd"], destination: "x" });
  const error = await assertRejects(putting, HoldfastError, "no service method file.receive");
  assertEquals(error.kind, "no_route");
});

// A sender that lies

/** Fetches from a child that sends what `send` writes, in place of a file service. */
async function fetchFrom(
  send: (writer: TreeWriter) => Promise<void>,
  dir: TempDir,
): Promise<TreeTotals> {
  await using pair = contextPair({
    services: {
      file: {
        send: {
          policy: "anyone",
          handle: async ({ stream }, { router, src }) => {
            const sink = SendStream.accept(router, { peer: src, id: stream as number });
            const writer = new TreeWriter(sink);
            await send(writer);
            await writer.close();
          },
        },
      },
    },
  });
  return await fetchFiles(pair.parent, 1, { sources: ["asked"], destination: dir.join("into") });
}

const PLAIN: TreeEntry = { type: "file", depth: 1, name: "x", mode: 0o644, mtime: 0 };

async function sendFile(writer: TreeWriter, entry: Partial<TreeEntry>): Promise<void> {
  const content = new TextEncoder().encode("evil");
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", content));
  await writer.entry({ ...PLAIN, ...entry });
  await writer.record(DATA, content);
  await writer.record(END_OF_FILE, digest);
}

const LIES: Record<string, (writer: TreeWriter, outside: string) => Promise<void>> = {
  async "a name with a slash"(writer) {
    await writer.entry({ ...PLAIN, type: "directory", depth: 0, name: 0 });
    await sendFile(writer, { name: "../outside/evil" });
  },
  async "an absolute name"(writer, outside) {
    await writer.entry({ ...PLAIN, type: "directory", depth: 0, name: 0 });
    await sendFile(writer, { name: `${outside}/evil` });
  },
  async "dots as a name"(writer) {
    await writer.entry({ ...PLAIN, type: "directory", depth: 0, name: 0 });
    await writer.entry({ ...PLAIN, type: "directory", name: ".." });
  },
  async "a name of its own at the top"(writer) {
    await sendFile(writer, { depth: 0, name: ".bashrc" });
  },
  async "a source that was not asked for"(writer) {
    await sendFile(writer, { depth: 0, name: 1 });
  },
  async "the same source twice"(writer, outside) {
    await writer.entry({ ...PLAIN, type: "symlink", depth: 0, name: 0, target: `${outside}/evil` });
    await sendFile(writer, { depth: 0, name: 0 });
  },
  async "a directory over a link it made"(writer, outside) {
    await writer.entry({ ...PLAIN, type: "directory", depth: 0, name: 0 });
    await writer.entry({ ...PLAIN, type: "symlink", name: "way", target: outside });
    await writer.entry({ ...PLAIN, type: "directory", name: "way" });
    await sendFile(writer, { depth: 2, name: "evil" });
  },
  async "a level without its directory"(writer) {
    await sendFile(writer, { depth: 3, name: "evil" });
  },
  async "data without a file"(writer) {
    await writer.record(DATA, new Uint8Array(10));
  },
  async "a record that is too long"(writer) {
    await writer.record(DATA, new Uint8Array(BLOCK + 1));
  },
};

for (const [lie, send] of Object.entries(LIES)) {
  test(`receiving: a sender with ${lie} is stopped, nothing is written outside`, async () => {
    await using dir = await tempDir();
    await Deno.mkdir(dir.join("into"));
    await Deno.mkdir(dir.join("outside"));
    await assertRejects(
      () => fetchFrom((writer) => send(writer, dir.join("outside")), dir),
      HoldfastError,
    );
    assertEquals([...Deno.readDirSync(dir.join("outside"))], []);
    assertEquals([...Deno.readDirSync(dir.path)].length, 2);
    for (const { name } of Deno.readDirSync(dir.join("into"))) assertEquals(name, "asked");
  });
}

test("receiving: a file is not written through a link inside the tree", async () => {
  await using dir = await tempDir();
  await Deno.mkdir(dir.join("into/asked"), { recursive: true });
  await Deno.mkdir(dir.join("outside"));
  await Deno.symlink(dir.join("outside/evil"), dir.join("into/asked/x"));
  await fetchFrom(async (writer) => {
    await writer.entry({ ...PLAIN, type: "directory", depth: 0, name: 0, mode: 0o755 });
    await sendFile(writer, {});
  }, dir);
  assertEquals([...Deno.readDirSync(dir.join("outside"))], []);
  assert((await Deno.lstat(dir.join("into/asked/x"))).isFile);
});

test("receiving: a stream that ends in the middle leaves no litter", async () => {
  await using dir = await tempDir();
  await Deno.mkdir(dir.join("into"));
  await using pair = contextPair({
    services: { file: new FileService(denoHost).service },
  });
  const stream = SendStream.open(pair.parent, 1);
  const args = { stream: stream.id, destination: dir.join("into"), names: ["asked"] };
  const call = pair.parent.call(1, { service: "file", method: "receive", args });
  await stream.write(Uint8Array.of(1, 0, 0));
  await stream.close();
  await assertRejects(() => call, HoldfastError, "its sender ended in the middle");
  assertEquals([...Deno.readDirSync(dir.join("into"))], []);
});

test("file service: methods are for parents only", async () => {
  await using pair = contextPair({ services: {} });
  const { serve } = await import("../../lib/core/service.ts");
  serve(pair.parent, { file: new FileService(denoHost).service });
  const stream = ReceiveStream.open(pair.child, 0);
  const args = { stream: stream.id, sources: ["/etc/passwd"] };
  const call = () => pair.child.call(0, { service: "file", method: "send", args });
  assertEquals((await assertRejects(call, HoldfastError)).kind, "refused");
  stream.cancel();
});

for (const direction of ["put", "fetch"] as const) {
  test(`${direction}: a pipe is not replaced by a file, named or in a tree`, async () => {
    await using b = await bench(direction);
    const { dir } = b;
    await Deno.mkdir(dir.join("source"));
    await Deno.writeTextFile(dir.join("source/name"), "content");
    await Deno.mkdir(dir.join("target/source"), { recursive: true });
    const pipes = [dir.join("pipe"), dir.join("target/source/name")];
    await new Deno.Command("mkfifo", { args: pipes }).output();
    for (
      const [source, destination] of [["source/name", "pipe"], ["source", "target"]]
    ) {
      const error = await assertRejects(
        () => b.copy([dir.join(source)], dir.join(destination)),
        HoldfastError,
      );
      assertStringIncludes(error.message, "it is a device, pipe or socket, no file");
    }
    for (const pipe of pipes) assert((await Deno.lstat(pipe)).isFifo, pipe);
  });
}
