/** The quick way to small files, on both runtimes' system calls, and when it is not taken. */

import type { HoldfastError } from "../../lib/core/errors.ts";
import { denoHost } from "../../lib/files/host_deno.ts";
import { nodeHost } from "../../lib/files/host_node.ts";
import { QuickFiles, runtimeFiles } from "../../lib/files/quick_files.ts";
import type { RuntimeFiles } from "../../lib/files/runtime_files.ts";
import { assert, assertEquals, assertStringIncludes, assertThrows } from "../support/assert.ts";
import { tempDir } from "../support/temp.ts";
import { test } from "../support/test.ts";

const CONTENT = new TextEncoder().encode("content");

for (const host of [denoHost, nodeHost()]) {
  const files = runtimeFiles(host)!;

  test(`quick files of ${host.runtime}: what is written is found again, whatever the umask`, async () => {
    await using dir = await tempDir();
    for (const mode of [0o666, 0o600, 0o4755, 0o400, 0]) {
      const path = dir.join(`${mode}`);
      const file = files.write(path, CONTENT, { mode, mtime: 1e12 + 250 });
      await file.sync();
      file.close();
      const { content, ...info } = files.look(path, 1000);
      assertEquals(content, CONTENT);
      assertEquals(info, { type: "file", mode, size: 7, mtime: 1e12 + 250 });
    }
  });

  test(`quick files of ${host.runtime}: directories and links are told with what is in them`, async () => {
    await using dir = await tempDir();
    await Deno.mkdir(dir.join("sub"));
    await Deno.symlink("no/where", dir.join("link"));
    assertEquals(files.look(dir.path, 1000).names?.sort(), ["link", "sub"]);
    assertEquals(files.look(dir.join("link"), 1000).target, "no/where");
  });

  test(`quick files of ${host.runtime}: what is large, or claims to be empty, is not read`, async () => {
    await using dir = await tempDir();
    await Deno.writeFile(dir.join("file"), CONTENT);
    assertEquals(files.look(dir.join("file"), 6).content, undefined);
    assertEquals(files.look("/proc/self/limits", 1000).content, undefined);
  });

  test(`quick files of ${host.runtime}: nothing is replaced, nothing followed`, async () => {
    await using dir = await tempDir();
    await Deno.writeFile(dir.join("file"), CONTENT);
    await Deno.symlink("nowhere", dir.join("link"));
    for (const name of ["file", "link"]) {
      const writing = () => files.write(dir.join(name), CONTENT, { mode: null, mtime: null });
      const error = assertThrows(writing) as HoldfastError;
      assertEquals(error.kind, "io");
      assertStringIncludes(error.message, `Cannot create "${dir.join(name)}": it exists already`);
    }
    assert(!files.look(dir.path, 0).names!.includes("nowhere"));
  });
}

test("quick files: none where files are not on this machine", () => {
  const quick = new QuickFiles(runtimeFiles({ ...denoHost, runtime: "direct" }));
  assertEquals(quick.look("/", 0), null);
});

test("quick files: a slow file system gets them no longer, until it is tried again", () => {
  let now = 0;
  let cost = 0.1;
  const look: RuntimeFiles["look"] = () => {
    now += cost;
    return { type: "other", mode: 0, size: 0, mtime: 0 };
  };
  const quick = new QuickFiles({ look } as RuntimeFiles, () => now);
  const taken = (rounds: number) => {
    let count = 0;
    for (let round = 0; round < rounds; round++) if (quick.look("/", 0)) count++;
    return count;
  };
  assertEquals(taken(1000), 1000);
  cost = 5;
  assert(taken(1000) < 60);
  cost = 0.1;
  assert(taken(1000) > 900);
});

for (const host of [denoHost, nodeHost()]) {
  test(`quick files of ${host.runtime}: a large file goes on where the other way stopped`, async () => {
    await using dir = await tempDir();
    let now = 0;
    let cost = 0;
    const quick = new QuickFiles(runtimeFiles(host), () => now += cost);
    const plain = await host.create(dir.join("file"));
    let slowly = 0;
    const file = quick.open({
      ...plain,
      write: (bytes) => (slowly++, plain.write(bytes)),
    });
    for (const [text, costs] of [["one", 0], ["two", 1000], ["three", 0]] as const) {
      cost = costs;
      await file.write(new TextEncoder().encode(text));
    }
    await file.close();
    // The second was slow, so the third took the host's way.
    assertEquals(slowly, 1);
    cost = 0;
    const buffer = new Uint8Array(20);
    const reading = new QuickFiles(runtimeFiles(host)).open(await host.openRead(dir.join("file")));
    const count = await reading.read(buffer);
    assertEquals(new TextDecoder().decode(buffer.subarray(0, count!)), "onetwothree");
    assertEquals(await reading.read(buffer), null);
    await reading.close();
  });
}
