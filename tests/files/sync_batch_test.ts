/** When small files are made durable together, and when one by one. */

import { HoldfastError } from "../../lib/core/errors.ts";
import type { Child, Host, OpenFile, SpawnOptions } from "../../lib/core/host.ts";
import { denoHost } from "../../lib/files/host_deno.ts";
import { SyncBatch } from "../../lib/files/sync_batch.ts";
import { assertEquals, assertRejects } from "../support/assert.ts";
import { test } from "../support/test.ts";

const MB = 1024 * 1024;

/** A batch on a host where `dirty` bytes wait for the disk, and what happened to its files. */
function batchOf({ dirty = 0, status = 0 }: { dirty?: number | null; status?: number } = {}) {
  const spawned: SpawnOptions["command"][] = [];
  const counts = { synced: 0, closed: 0 };
  const host: Host = {
    ...denoHost,
    async spawn({ command }) {
      spawned.push(command);
      const idle = {
        read: async () => null,
        cancel() {},
        write: async () => {},
        close: async () => {},
      };
      const exit = Promise.resolve({ code: status, signal: null });
      return { stdin: idle, stdout: idle, stderr: idle, exit } as unknown as Child;
    },
    async openRead() {
      if (dirty === null) throw new HoldfastError("not_found", "no such file or directory");
      const text = `Cached: 1 kB\nDirty:      ${
        dirty / 1024
      } kB\nWriteback:     0 kB\nShmem: 2 kB\n`;
      const bytes = new TextEncoder().encode(text);
      return {
        read: async (buffer: Uint8Array) => (buffer.set(bytes), bytes.length),
        close: async () => {},
      } as OpenFile;
    },
  };
  const batch = new SyncBatch(host);
  const add = async (count: number, sync = async () => {}) => {
    for (let index = 0; index < count; index++) {
      const file = {
        sync: () => (counts.synced++, sync()),
        close: () => void counts.closed++,
      };
      await batch.add(file, { bytes: 1000, path: "-tree" });
    }
  };
  return { batch, add, spawned, counts };
}

const TOGETHER = ["sync", "-f", "--", "-tree"];

test("sync batch: many files become durable in one go", async () => {
  const { batch, add, spawned, counts } = batchOf();
  await add(100);
  assertEquals(counts, { synced: 0, closed: 0 });
  await batch.sync("-tree");
  assertEquals(spawned, [TOGETHER]);
  assertEquals(counts, { synced: 0, closed: 100 });
  await batch.sync("-tree");
  assertEquals(spawned.length, 1);
});

test("sync batch: at most 512 files are open", async () => {
  const { batch, add, spawned, counts } = batchOf();
  await add(1300);
  assertEquals([spawned.length, counts.closed], [2, 1024]);
  await batch.sync("-tree");
  assertEquals([spawned.length, counts.closed], [3, 1300]);
});

const ONE_BY_ONE = {
  "for a few files": [batchOf(), 5],
  "while others write much": [batchOf({ dirty: 100 * MB }), 100],
  "where the kernel does not tell": [batchOf({ dirty: null }), 100],
  "where sync fails": [batchOf({ status: 1 }), 100],
} as const;

for (const [when, [{ batch, add, counts }, files]] of Object.entries(ONE_BY_ONE)) {
  test(`sync batch: one by one ${when}`, async () => {
    await add(files);
    await batch.sync("-tree");
    assertEquals(counts, { synced: files, closed: files });
  });
}

test("sync batch: a file that cannot be made durable fails it, and all are closed", async () => {
  const { batch, add, counts } = batchOf({ dirty: null });
  await add(99);
  await add(1, () => Promise.reject(new HoldfastError("io", "input/output error")));
  await assertRejects(() => batch.sync("-tree"), HoldfastError, "input/output error");
  assertEquals(counts.closed, 100);
});

test("sync batch: what is given up is closed", async () => {
  const { batch, add, counts } = batchOf();
  await add(50);
  batch.close();
  assertEquals(counts, { synced: 0, closed: 50 });
});
