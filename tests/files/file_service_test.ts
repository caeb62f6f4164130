/** The file service between two contexts on real files: what arrives and where, the same for `put` and `fetch`. */

import { putFiles } from "../../lib/client/transfer.ts";
import { HoldfastError } from "../../lib/core/errors.ts";
import { FileService } from "../../lib/files/file_service.ts";
import { denoHost } from "../../lib/files/host_deno.ts";
import { ReceiveStream } from "../../lib/core/stream.ts";
import { BLOCK } from "../../lib/files/tree_format.ts";
import { assert, assertEquals, assertRejects, assertStringIncludes } from "../support/assert.ts";
import { contextPair } from "../support/context_pair.ts";
import { bench, both, noise, snapshot, write } from "../support/file_bench.ts";
import { test } from "../support/test.ts";

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
  assertEquals(seen, seen.toSorted((a, b) => a - b));
  assertEquals(seen.at(-1), 2 * BLOCK + 5);
  assert(seen.length >= 3, `told ${seen.length} times`);
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

test("put: a context without the service is told as such", async () => {
  await using pair = contextPair({ services: {} });
  const putting = () => putFiles(pair.parent, 1, { sources: ["/etc/passwd"], destination: "x" });
  const error = await assertRejects(putting, HoldfastError, "no service method file.receive");
  assertEquals(error.kind, "no_route");
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
