/** A tree that does not exist yet at its destination: it appears as a whole or not at all. */

import { HoldfastError } from "../../lib/core/errors.ts";
import type { Host } from "../../lib/core/host.ts";
import { denoHost } from "../../lib/files/host_deno.ts";
import { BLOCK } from "../../lib/files/tree_format.ts";
import { assert, assertEquals, assertRejects, assertStringIncludes } from "../support/assert.ts";
import { both, damage, names, noise, snapshot, write } from "../support/file_bench.ts";

/** Forty small files, a closed directory, a link and, last of all in most orders, a large file. */
async function makeTree(tree: string): Promise<void> {
  await Deno.mkdir(`${tree}/closed`, { recursive: true });
  for (let i = 0; i < 40; i++) await write(`${tree}/${i}`, noise(3000 + i));
  await write(`${tree}/closed/file`, "x", 0o400);
  await Deno.symlink("closed", `${tree}/link`);
  await write(`${tree}/big`, noise(10 * BLOCK));
  await Deno.chmod(`${tree}/closed`, 0o500);
}

/** What the transfer has made beside `tree` in `dir`. */
function made(dir: string): string[] {
  return names(dir).filter((name) => name !== "tree");
}

both("a fresh tree appears at once, when it is complete", async ({ dir, copy }) => {
  await makeTree(dir.join("tree"));
  const seen = new Set<string>();
  await copy([dir.join("tree")], dir.join("copy"), {
    onProgress: () => made(dir.path).forEach((name) => seen.add(name)),
  });
  const [temporary, ...others] = seen;
  assert(/^\.holdfast-[0-9a-f]{8}\.tmp$/.test(temporary), temporary);
  assertEquals(others, []);
  assertEquals(made(dir.path), ["copy"]);
  assertEquals(await snapshot(dir.join("copy")), await snapshot(dir.join("tree")));
});

both("a fresh tree's progress names the place where it belongs", async (bench, direction) => {
  const { dir, copy } = bench;
  await makeTree(dir.join("tree"));
  const seen = new Set<string>();
  await copy([dir.join("tree")], dir.join("copy"), {
    onProgress: ({ path }) => seen.add(path),
  });
  const root = dir.join(direction === "put" ? "tree" : "copy");
  assertEquals(seen.size, 42);
  for (const path of seen) assertStringIncludes(path, `${root}/`);
});

both("a fresh tree that is cancelled leaves nothing", async ({ dir, copy, service }) => {
  await makeTree(dir.join("tree"));
  const controller = new AbortController();
  const copying = () =>
    copy([dir.join("tree")], dir.join("copy"), {
      signal: controller.signal,
      onProgress: ({ totals }) => totals.bytes > 5 * BLOCK && controller.abort(),
    });
  assertEquals((await assertRejects(copying, HoldfastError)).kind, "cancelled");
  await service.close();
  assertEquals(made(dir.path), []);
});

both("a fresh tree whose link is lost leaves nothing", async ({ dir, copy, service, pair }) => {
  await makeTree(dir.join("tree"));
  const copying = () =>
    copy([dir.join("tree")], dir.join("copy"), {
      onProgress: ({ totals }) => totals.bytes > 5 * BLOCK && pair.cut(),
    });
  assertEquals((await assertRejects(copying, HoldfastError)).kind, "disconnected");
  await service.close();
  assertEquals(made(dir.path), []);
});

both("damage among small files is found and leaves nothing", async ({ dir, copy }) => {
  await Deno.mkdir(dir.join("tree"));
  for (let i = 0; i < 100; i++) await write(dir.join(`tree/${i}`), noise(2000));
  const copying = () => copy([dir.join("tree")], dir.join("copy"));
  assertEquals((await assertRejects(copying, HoldfastError)).kind, "corrupt");
  assertEquals(made(dir.path), []);
}, { wrap: (transport) => damage(transport, 2) });

both("of two trees, the one that is complete stays when the other fails", async (bench) => {
  const { dir, copy } = bench;
  await Deno.mkdir(dir.join("tree"));
  await Deno.mkdir(dir.join("tree/first"));
  await write(dir.join("tree/first/file"), "x");
  await Deno.mkdir(dir.join("into"));
  const copying = () => copy([dir.join("tree/first"), dir.join("tree/absent")], dir.join("into"));
  await assertRejects(copying, HoldfastError, `absent": no such file`);
  for (const name of names(dir.join("into"))) {
    assertEquals(name, "first");
    assertEquals(names(dir.join("into/first")), ["file"]);
  }
});

/** A host on which something else takes the name of a fresh tree before it is renamed. */
function rivalHost(): Host {
  return {
    ...denoHost,
    async rename(from, to) {
      await Deno.mkdir(to);
      await Deno.writeTextFile(`${to}/theirs`, "kept");
      await denoHost.rename(from, to);
    },
  };
}

both("what took a fresh tree's name meanwhile stays, and is named", async ({ dir, copy }) => {
  await Deno.mkdir(dir.join("tree"));
  await write(dir.join("tree/file"), "x");
  const copying = () => copy([dir.join("tree")], dir.join('co"py'));
  const error = await assertRejects(copying, HoldfastError);
  assertStringIncludes(error.message, `${JSON.stringify(dir.join('co"py'))}: `);
  assertEquals(made(dir.path), ['co"py']);
  assertEquals(names(dir.join('co"py')), ["theirs"]);
}, { receiver: rivalHost() });

both("a tree that exists is merged, not replaced", async ({ dir, copy }) => {
  await makeTree(dir.join("tree"));
  await Deno.mkdir(dir.join("into/tree"), { recursive: true });
  await write(dir.join("into/tree/kept"), "kept");
  await write(dir.join("into/tree/1"), "old");
  await copy([dir.join("tree")], dir.join("into"));
  const merged = await snapshot(dir.join("into/tree"));
  assert(merged["/kept"]);
  delete merged["/kept"];
  assertEquals(merged, await snapshot(dir.join("tree")));
});
