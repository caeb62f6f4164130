/** Transfers that fail: what is told, what stays, and that nothing is left behind. */

import { putFiles } from "../../lib/client/transfer.ts";
import { HoldfastError } from "../../lib/core/errors.ts";
import type { ByteSource, Host } from "../../lib/core/host.ts";
import { denoHost } from "../../lib/files/host_deno.ts";
import { BLOCK } from "../../lib/files/tree_format.ts";
import { assertEquals, assertRejects, assertStringIncludes } from "../support/assert.ts";
import { bench, both, damage, noise, snapshot, write } from "../support/file_bench.ts";
import { test } from "../support/test.ts";

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
        now: undefined,
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

both("damage on the way is found, the old file stays and no litter", async ({ dir, copy }) => {
  await Deno.mkdir(dir.join("into"));
  await write(dir.join("into/big"), "old");
  await write(dir.join("big"), noise(60 * BLOCK));
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
