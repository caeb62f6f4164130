/** Which built file a target is given. */

import { HoldfastError } from "../../lib/core/errors.ts";
import { BuiltFiles } from "../../lib/daemon/built_files.ts";
import { VERSION } from "../../lib/rendezvous/version.ts";
import { assertEquals, assertRejects } from "../support/assert.ts";
import { type TempDir, tempDir } from "../support/temp.ts";
import { test } from "../support/test.ts";

/** A file that says of itself what a built file does. */
async function write(dir: TempDir, { name, target, version = VERSION }: {
  name: string;
  target: string;
  version?: string;
}): Promise<string> {
  const head = `#!/bin/sh\n# holdfast ${version} for ${target}, commit 1: text\n`;
  const rest = `hash=${"d".repeat(64)}\n tail -c +00000100 "$self"\n`;
  await Deno.writeTextFile(dir.join(name), head + rest);
  return dir.join(name);
}

test.needs("linux")(
  "built files: the one that runs, and one beside it for another target",
  async () => {
    await using dir = await tempDir();
    const own = await write(dir, { name: "hf", target: "linux-x64" });
    const other = await write(dir, { name: "holdfast-linux-arm64", target: "linux-arm64" });
    const link = dir.join("link");
    await Deno.symlink(own, link);
    const files = new BuiltFiles(link);
    assertEquals((await files.find("linux-x64")).path, own);
    assertEquals((await files.find("linux-arm64")).path, other);
  },
);

test.needs("linux")("built files: none, or an old one, is told with what to do", async () => {
  await using dir = await tempDir();
  const own = await write(dir, { name: "hf", target: "linux-x64" });
  const old = await write(dir, {
    name: "holdfast-linux-arm64",
    target: "linux-arm64",
    version: "0.0.0",
  });
  const files = new BuiltFiles(own);
  const why = async (target: string) =>
    (await assertRejects(() => files.find(target), HoldfastError)).message;
  const how = (target: string) => `put holdfast-${target} of version ${VERSION} beside ${own}`;
  assertEquals(
    await why("macos-x64"),
    `Cannot provision: there is no built file for macos-x64; ${how("macos-x64")}`,
  );
  assertEquals(
    await why("linux-arm64"),
    `Cannot provision: ${old} is of version 0.0.0; ${how("linux-arm64")}`,
  );
  assertEquals(
    await why("../../linux-x64"),
    'Cannot provision: nothing is built for "../../linux-x64"',
  );
  // One that is put there later is seen.
  await write(dir, { name: "holdfast-macos-x64", target: "macos-x64" });
  assertEquals((await files.find("macos-x64")).target, "macos-x64");
});
