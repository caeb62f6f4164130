/** `putFiles` and `fetchFiles` with a context that is a process of its own, on node and bun. */

import { fetchFiles, putFiles } from "../../lib/client/transfer.ts";
import { HoldfastError } from "../../lib/core/errors.ts";
import type { Transport } from "../../lib/core/host.ts";
import { assert, assertEquals, assertRejects } from "../support/assert.ts";
import { contextPair } from "../support/context_pair.ts";
import { tempDir } from "../support/temp.ts";
import { test } from "../support/test.ts";
import { sharedRuntime } from "../support/tools.ts";

/** A program that runs the file service on the node host over its standard streams, as context 1. */
const ENTRY = `
import { FileService } from "${new URL("../../lib/files/file_service.ts", import.meta.url)}";
import { nodeHost } from "${new URL("../../lib/files/host_node.ts", import.meta.url)}";
import { nodeStdio } from "${new URL("../../lib/core/processes_node.ts", import.meta.url)}";
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

/** As the first stage does it: in a script of `-e`, where an old node has `require` and `crypto`. */
function scriptOf(path: string): string {
  return `(0,eval)(require("fs").readFileSync("${path}","utf8"))`;
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

for (const runtime of ["node", "node18", "bun"] as const) {
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
      args: ["-e", scriptOf(dir.join("context.js"))],
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
