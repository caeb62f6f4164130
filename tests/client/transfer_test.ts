/** `putFiles` and `fetchFiles` where the user notices: pipes, names, round trips, other runtimes, progress. */

import { ProgressLine } from "../../lib/client/progress.ts";
import { baseName, fetchFiles, putFiles } from "../../lib/client/transfer.ts";
import { HoldfastError } from "../../lib/core/errors.ts";
import { FileService } from "../../lib/core/file_service.ts";
import type { ByteSink, ByteSource, Transport } from "../../lib/core/host.ts";
import { denoHost } from "../../lib/core/host_deno.ts";
import type { TreeProgress } from "../../lib/core/tree_format.ts";
import { assert, assertEquals, assertRejects } from "../support/assert.ts";
import { contextPair } from "../support/context_pair.ts";
import { tempDir } from "../support/temp.ts";
import { test } from "../support/test.ts";
import { sharedRuntime } from "../support/tools.ts";

function services() {
  return { file: new FileService(denoHost).service };
}

function sourceOf(...chunks: Uint8Array[]): ByteSource {
  return { read: () => Promise.resolve(chunks.shift() ?? null), cancel: () => chunks.splice(0) };
}

test("put: content without a name becomes the file, with the mode it had", async () => {
  await using dir = await tempDir();
  await using pair = contextPair({ services: services() });
  const destination = dir.join("file");
  await Deno.writeTextFile(destination, "old");
  await Deno.chmod(destination, 0o640);
  const chunks = [new Uint8Array(100_000).fill(1), new Uint8Array(3_000_001).fill(2)];
  await putFiles(pair.parent, 1, { sources: [sourceOf(...chunks)], destination });
  const written = await Deno.readFile(destination);
  assertEquals(written.length, 3_100_001);
  assertEquals([written[99_999], written[100_000], written.at(-1)], [1, 2, 2]);
  assertEquals((await Deno.stat(destination)).mode! & 0o777, 0o640);
  await putFiles(pair.parent, 1, { sources: [sourceOf()], destination: dir.join("empty") });
  const { size, mode } = await Deno.stat(dir.join("empty"));
  assertEquals([size, mode! & 0o777], [0, 0o666 & ~Deno.umask()]);
});

test("put: content without a name does not go into a directory", async () => {
  await using dir = await tempDir();
  await using pair = contextPair({ services: services() });
  const putting = () =>
    putFiles(pair.parent, 1, { sources: [sourceOf(Uint8Array.of(1))], destination: dir.path });
  await assertRejects(putting, HoldfastError, "it is a directory");
});

test("put: a refusal ends it though its input is silent", async () => {
  await using dir = await tempDir();
  await using pair = contextPair({ services: services() });
  let release!: () => void;
  const silence = new Promise<null>((resolve) => release = () => resolve(null));
  const source: ByteSource = { read: () => silence, cancel: () => release() };
  const putting = () =>
    putFiles(pair.parent, 1, { sources: [source], destination: dir.join("no/such") });
  assertEquals((await assertRejects(putting, HoldfastError)).kind, "not_found");
});

test("fetch: one file goes to a sink as it is", async () => {
  await using dir = await tempDir();
  await using pair = contextPair({ services: services() });
  const content = new Uint8Array(2_500_000);
  crypto.getRandomValues(content.subarray(0, 60_000));
  await Deno.writeFile(dir.join("file"), content);
  const chunks: Uint8Array[] = [];
  const sink: ByteSink = {
    write: (bytes) => Promise.resolve(void chunks.push(bytes.slice())),
    close: () => Promise.resolve(),
  };
  await fetchFiles(pair.parent, 1, { sources: [dir.join("file")], destination: sink });
  const joined = new Uint8Array(await new Blob(chunks as BlobPart[]).arrayBuffer());
  assertEquals(joined.length, content.length);
  assert(joined.every((byte, at) => byte === content[at]));
  const tree = () => fetchFiles(pair.parent, 1, { sources: [dir.path], destination: sink });
  assertEquals((await assertRejects(tree, HoldfastError)).kind, "usage");
});

test("fetch: a sink that fails ends it with its own error", async () => {
  await using pair = contextPair({ services: services() });
  const sink: ByteSink = {
    write: () => Promise.reject(new Deno.errors.BrokenPipe("gone")),
    close: () => Promise.resolve(),
  };
  const fetching = () =>
    fetchFiles(pair.parent, 1, { sources: ["/etc/passwd"], destination: sink });
  await assertRejects(fetching, Deno.errors.BrokenPipe);
});

test("put: a small file takes one round trip", async () => {
  await using dir = await tempDir();
  await Deno.writeTextFile(dir.join("file"), "small");
  let answered = false;
  let sent = 0;
  let sentAfterAnswer = 0;
  const wrap = (transport: Transport): Transport => ({
    async read() {
      const bytes = await transport.read();
      if (answered) sentAfterAnswer += bytes?.length ?? 0;
      sent += bytes?.length ?? 0;
      return bytes;
    },
    write(bytes) {
      answered = true;
      return transport.write(bytes);
    },
    close: () => transport.close(),
  });
  await using pair = contextPair({ services: services(), wrap });
  await putFiles(pair.parent, 1, { sources: [dir.join("file")], destination: dir.join("copy") });
  assert(sent > 0);
  assertEquals(sentAfterAnswer, 0);
});

test("transfer: an empty local path is refused before anything is sent", async () => {
  await using pair = contextPair({ services: {} });
  const fetching = () => fetchFiles(pair.parent, 1, { sources: ["x"], destination: "" });
  assertEquals((await assertRejects(fetching, HoldfastError)).kind, "usage");
});

test("base name: what cp -a would use inside a directory", () => {
  const cases = {
    "a": "a",
    "/a/b/": "b",
    "a//b//": "b",
    ".": "",
    "a/..": "",
    "/": "",
    "x\n/y\nz": "y\nz",
    "-": "-",
  };
  for (const [path, name] of Object.entries(cases)) assertEquals(baseName(path), name);
});

// Other runtimes

/** A program that runs the file service on the node host over its standard streams, as context 1. */
const ENTRY = `
import { FileService } from "${new URL("../../lib/core/file_service.ts", import.meta.url)}";
import { nodeHost, nodeStdio } from "${new URL("../../lib/core/host_node.ts", import.meta.url)}";
import { Link } from "${new URL("../../lib/core/link.ts", import.meta.url)}";
import { Router } from "${new URL("../../lib/core/router.ts", import.meta.url)}";
import { serve } from "${new URL("../../lib/core/service.ts", import.meta.url)}";
const router = new Router({ id: 1, parentIds: [0] });
const link = new Link(0, nodeStdio());
router.setParent(link);
const service = new FileService(nodeHost());
serve(router, { file: service.service });
link.run({
  onFrame: (frame) => router.receive(frame, link),
  onClose: (error) => router.removeLink(link, error ?? new Error("gone")),
}).then(() => service.close()).then(() => process.exit(0));
`;

async function bundleEntry(path: string): Promise<void> {
  await Deno.writeTextFile(path + ".ts", ENTRY);
  const bundle = await Deno.bundle({
    entrypoints: [path + ".ts"],
    platform: "browser",
    format: "iife",
    minify: true,
    write: false,
  });
  await Deno.writeFile(path, bundle.outputFiles![0].contents!);
}

function processTransport(child: Deno.ChildProcess): Transport {
  const reader = child.stdout.getReader();
  const writer = child.stdin.getWriter();
  return {
    read: async () => (await reader.read()).value ?? null,
    write: (bytes) => writer.write(bytes),
    close() {
      writer.close().catch(() => {});
      reader.cancel().catch(() => {});
    },
  };
}

for (const runtime of ["node", "bun"] as const) {
  test.needs(runtime)(`transfer: ${runtime} receives and sends trees`, async () => {
    await using dir = await tempDir();
    await bundleEntry(dir.join("context.js"));
    const tree = dir.join("tree");
    await Deno.mkdir(`${tree}/closed`, { recursive: true });
    await Deno.writeTextFile(`${tree}/closed/é`, "x");
    await Deno.writeFile(`${tree}/big`, new Uint8Array(5_000_000).fill(7));
    await Deno.writeFile(`${tree}/empty`, new Uint8Array(0));
    await Deno.chmod(`${tree}/big`, 0o4711);
    await Deno.symlink("big", `${tree}/link`);
    for (let i = 0; i < 100; i++) await Deno.writeTextFile(`${tree}/${i}`, `${i}`);
    await Deno.chmod(`${tree}/closed`, 0o500);
    await Deno.utime(`${tree}/closed`, 1e9, 1e9 + 0.5);
    const child = new Deno.Command(sharedRuntime(runtime), {
      args: [dir.join("context.js")],
      stdin: "piped",
      stdout: "piped",
      stderr: "inherit",
    }).spawn();
    const transport = processTransport(child);
    {
      const [here] = [transport];
      await using pair = remotePair(here);
      const options = { sources: [tree], destination: dir.join("copy") };
      const totals = await putFiles(pair.parent, 1, options);
      assertEquals([totals.files, totals.directories, totals.links], [103, 2, 1]);
      const back = { sources: [dir.join("copy")], destination: dir.join("back") };
      await fetchFiles(pair.parent, 1, back);
      const bad = { sources: [`${tree}/big`], destination: "/proc/no" };
      await assertRejects(() => putFiles(pair.parent, 1, bad), HoldfastError, `"/proc/no"`);
    }
    assertEquals((await child.status).code, 0);
    const listing = async (root: string) => {
      // Neither directories' sizes nor links' own times are copied.
      const script = `cd "$1" && find . -type l -printf '%p %l\\n' -o -type d -printf '%p %m\\n'` +
        ` -o -printf '%p %m %Ts %s\\n' | sort`;
      const command = new Deno.Command("sh", { args: ["-c", script, "sh", root] });
      return new TextDecoder().decode((await command.output()).stdout);
    };
    assertEquals(await listing(dir.join("back")), await listing(tree));
    assertEquals((await Deno.stat(dir.join("back/closed"))).mtime!.getTime(), 1e12 + 500);
    assertEquals((await Deno.stat(dir.join("back/closed"))).mode! & 0o777, 0o500);
    assertEquals(await Deno.readFile(dir.join("back/big")), await Deno.readFile(`${tree}/big`));
  });
}

test.needs("node")(
  "put: a context that is killed leaves one temporary and no destination",
  async () => {
    await using dir = await tempDir();
    await bundleEntry(dir.join("context.js"));
    await Deno.mkdir(dir.join("tree"));
    await Deno.mkdir(dir.join("into"));
    for (let i = 0; i < 50; i++) await Deno.writeTextFile(dir.join(`tree/${i}`), `${i}`);
    await Deno.writeFile(dir.join("tree/big"), new Uint8Array(20_000_000));
    const child = new Deno.Command(sharedRuntime("node"), {
      args: [dir.join("context.js")],
      stdin: "piped",
      stdout: "piped",
      stderr: "inherit",
    }).spawn();
    await using pair = remotePair(processTransport(child));
    const putting = () =>
      putFiles(pair.parent, 1, {
        sources: [dir.join("tree")],
        destination: dir.join("into"),
        onProgress: ({ totals }) => totals.bytes > 10_000_000 && child.kill("SIGKILL"),
      });
    await assertRejects(putting, HoldfastError);
    await child.status;
    const left = [...Deno.readDirSync(dir.join("into"))].map(({ name }) => name);
    assertEquals(left.length, 1);
    assert(/^\.holdfast-[0-9a-f]{8}\.tmp$/.test(left[0]), left[0]);
  },
);

/** The parent's half of a pair whose child is another process. */
function remotePair(transport: Transport) {
  return contextPair({ services: {}, transports: [transport, silent()] });
}

/** A transport on which nothing happens until it is closed. */
function silent(): Transport {
  let close!: () => void;
  const closed = new Promise<null>((resolve) => close = () => resolve(null));
  return { read: () => closed, write: () => Promise.resolve(), close: () => close() };
}

// Progress

function progressOf(changes: Partial<TreeProgress>): TreeProgress {
  const totals = { files: 0, directories: 0, links: 0, bytes: 50_000_000, skipped: 0 };
  return { path: "/a/film.mkv", done: 50_000_000, size: 200_000_000, totals, ...changes };
}

function screen(columns = 80) {
  let now = 0;
  const written: string[] = [];
  const line = new ProgressLine({
    write: (text) => written.push(text),
    columns: () => columns,
    now: () => now,
  });
  return { line, written, pass: (ms: number) => now += ms };
}

test("progress: name, percentage, rate and time left in the terminal's width", () => {
  const { line, written, pass } = screen();
  pass(1000);
  line.update(progressOf({}));
  assertEquals(written.length, 1);
  assert(written[0].startsWith("\r\x1b[Kfilm.mkv "));
  assert(written[0].endsWith("25%  50 MB  50 MB/s  3s"), written[0]);
  assert(written[0].length - 4 < 80);
});

test("progress: drawn at most ten times a second and taken away once", () => {
  const { line, written, pass } = screen();
  line.update(progressOf({}));
  line.clear();
  assertEquals(written, []);
  for (let at = 0; at < 100; at++) {
    pass(10);
    line.update(progressOf({}));
  }
  assertEquals(written.length, 10);
  line.clear();
  line.clear();
  assertEquals(written.slice(10), ["\r\x1b[K"]);
});

test("progress: wide and dangerous names stay inside the line", () => {
  const { line, written, pass } = screen(40);
  pass(200);
  line.update(progressOf({ path: "/x/" + "\u6f22".repeat(40), size: null }));
  pass(200);
  line.update(progressOf({ path: "/x/\x1b[2J\n\r", size: null }));
  const width = (text: string) => [...text].reduce((sum, c) => sum + (c > "\u2e80" ? 2 : 1), 0);
  for (const text of written) {
    assert(width(text.slice(4)) < 40, text);
    // deno-lint-ignore no-control-regex
    assert(!/[\x00-\x1f]/.test(text.slice(4)), text);
  }
});
