/** Receiving from a sender that lies, or that ends too early. */

import { fetchFiles } from "../../lib/client/transfer.ts";
import { HoldfastError } from "../../lib/core/errors.ts";
import { ContentDigest } from "../../lib/files/content_digest.ts";
import { FileService } from "../../lib/files/file_service.ts";
import { denoHost } from "../../lib/files/host_deno.ts";
import { SendStream } from "../../lib/core/stream.ts";
import {
  DATA,
  END_OF_FILE,
  MAX_RECORD,
  PACK,
  type TreeEntry,
  type TreeTotals,
  TreeWriter,
} from "../../lib/files/tree_format.ts";
import { assert, assertEquals, assertRejects } from "../support/assert.ts";
import { contextPair } from "../support/context_pair.ts";
import { type TempDir, tempDir } from "../support/temp.ts";
import { test } from "../support/test.ts";

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
  const digest = await ContentDigest.begin();
  digest.update(content);
  await writer.entry({ ...PLAIN, ...entry });
  await writer.record(DATA, content);
  await writer.record(END_OF_FILE, digest.value());
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
  async "content without a pack's digest"(writer) {
    await writer.record(PACK, new Uint8Array(40));
  },
  async "a pack that is cut off"(writer) {
    await writer.record(PACK, new Uint8Array(3));
  },
  async "a whole file at a name of its own"(writer) {
    await writer.entry({ ...PLAIN, depth: 0, name: "../outside/evil" }, new Uint8Array(3));
  },
  async "a whole file over a link it made"(writer, outside) {
    await writer.entry({ ...PLAIN, type: "directory", depth: 0, name: 0 });
    await writer.entry({ ...PLAIN, type: "symlink", name: "way", target: `${outside}/evil` });
    await writer.entry({ ...PLAIN, name: "way" }, new Uint8Array(3));
  },
  async "a record that is too long"(writer) {
    await writer.record(DATA, new Uint8Array(MAX_RECORD + 1));
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
