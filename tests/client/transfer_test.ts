/** `putFiles` and `fetchFiles` where the user notices: pipes, names, round trips, other runtimes, progress. */

import { ProgressLine } from "../../lib/client/progress.ts";
import { baseName, fetchFiles, putFiles } from "../../lib/client/transfer.ts";
import { HoldfastError } from "../../lib/core/errors.ts";
import { FileService } from "../../lib/files/file_service.ts";
import type { ByteSink, ByteSource, Transport } from "../../lib/core/host.ts";
import { denoHost } from "../../lib/files/host_deno.ts";
import type { TreeProgress } from "../../lib/files/tree_format.ts";
import { assert, assertEquals, assertRejects } from "../support/assert.ts";
import { contextPair } from "../support/context_pair.ts";
import { tempDir } from "../support/temp.ts";
import { test } from "../support/test.ts";

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
