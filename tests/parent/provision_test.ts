/** How a shell on a target is given a runtime, with the shells and tools that targets have. The runtime is a script. */

import { gzipSync } from "node:zlib";
import { HoldfastError } from "../../lib/core/errors.ts";
import { denoHost } from "../../lib/files/host_deno.ts";
import { bootstrap, NoRuntime } from "../../lib/parent/bootstrap.ts";
import { Router } from "../../lib/core/router.ts";
import { type Payload, readPayload, targetOf } from "../../lib/parent/payload.ts";
import { coreStart, provision } from "../../lib/parent/provision.ts";
import { ProvisionShell } from "../../lib/parent/provision_shell.ts";
import { SHELL_LOOP, shellAfter } from "../../lib/parent/shell_loop.ts";
import { tar } from "../../scripts/build/tar.ts";
import { assert, assertEquals, assertRejects } from "../support/assert.ts";
import { type TempDir, tempDir } from "../support/temp.ts";
import { test } from "../support/test.ts";
import { findExecutable } from "../support/tools.ts";

const CORE = "c".repeat(64);
/** Larger than one piece, and no multiple of a block; nothing compresses it. */
const FILLING = new Uint8Array(150_001);
for (let at = 0; at < FILLING.length; at += 65_536) {
  crypto.getRandomValues(FILLING.subarray(at, at + 65_536));
}

/** A built file as far as provisioning is concerned: a head, and an archive. */
async function writePayload(path: string): Promise<Payload> {
  const encode = (text: string) => new TextEncoder().encode(text);
  const script = `globalThis.holdfastBuild={"commit":"1","coreHash":"${CORE}"};`;
  const archive = gzipSync(tar([
    { name: "bootstrap.mjs", mode: 0o600, content: encode(script) },
    { name: "filling.mjs", mode: 0o600, content: FILLING },
    { name: "deno", mode: 0o700, content: encode('#!/bin/sh\necho "deno $*"\n') },
  ]));
  const head = (offset: number) =>
    `#!/bin/sh\n# holdfast 1.2.3 for linux-x64, commit 1: text\nhash=${"d".repeat(64)}\n` +
    `tail -c +${String(offset).padStart(8, "0")} "$self"\nexit\n`;
  const begin = encode(head(head(0).length + 1));
  await Deno.writeFile(path, new Uint8Array([...begin, ...archive]));
  return (await readPayload(denoHost, path))!;
}

/** A shell that takes lines, with an empty home and only the given tools. */
async function openShell(
  shell: readonly string[],
  { home, path }: { home: string; path?: string },
) {
  const env = { HOME: home, XDG_CACHE_HOME: "", XDG_RUNTIME_DIR: "", ...path && { PATH: path } };
  const child = await denoHost.spawn({ command: [...shell, "-c", SHELL_LOOP], env, cwd: "/" });
  return {
    ...child,
    async [Symbol.asyncDispose]() {
      await child.stdin.close();
      child.stdout.cancel();
      child.stderr.cancel();
      await child.exit;
    },
  };
}

/** A directory with nothing but busybox, and links to some of its tools. */
async function busyboxOnly(dir: TempDir): Promise<string> {
  const path = dir.join("bin");
  await Deno.mkdir(path);
  for (const name of ["busybox", "sh", "cat"]) {
    await Deno.symlink(findExecutable("busybox")!, `${path}/${name}`);
  }
  return path;
}

for (const [name, shell] of Object.entries({ dash: ["dash"], bash: ["bash"], busybox: ["sh"] })) {
  test.needs("linux", name, "gzip", "tar")(`provision: by ${name}`, async () => {
    await using dir = await tempDir();
    const home = dir.join("a home's");
    await Deno.mkdir(home);
    const path = name === "busybox" ? await busyboxOnly(dir) : undefined;
    const file = await writePayload(dir.join("holdfast"));
    const there: number[] = [];
    const options = {
      host: denoHost,
      payload: () => Promise.resolve(file),
      onProgress: (bytes: number) => there.push(bytes),
    };
    await using child = await openShell(shell, { home, path });
    const { become, ...place } = await provision(child, options);
    const directory = `${home}/.cache/holdfast/${file.directory}`;
    assertEquals(place, { directory, coreHash: CORE });
    assertEquals(await Deno.readFile(`${directory}/filling.mjs`), FILLING);
    assertEquals(await Deno.readFile(`${directory}/holdfast`), await Deno.readFile(file.path));
    assertEquals((await Deno.stat(`${home}/.cache/holdfast`)).mode! & 0o777, 0o700);
    assert(there.length > 1, "in pieces");
    const core = { compressed: new Uint8Array(3), hash: CORE };
    const { line, builtIn } = coreStart(place, { core, title: "it's" });
    assert(builtIn);
    await become(line);
    const said = new TextDecoder().decode((await child.stdout.read())!);
    assertEquals(
      said,
      `deno run --allow-all --quiet --no-config --no-lock ${directory}/bootstrap.mjs bootstrap it's\n`,
    );
    // What is there is found by the next.
    there.length = 0;
    await using again = await openShell(shell, { home, path });
    assertEquals((await provision(again, options)).directory, directory);
    assertEquals(there, []);
  });
}

test.needs("linux")(
  "provision: a file that is there whole, but for its name, is not sent",
  async () => {
    await using dir = await tempDir();
    const file = await writePayload(dir.join("holdfast"));
    const part = `${dir.path}/.cache/holdfast/part-${file.digest}`;
    await Deno.mkdir(`${dir.path}/.cache/holdfast`, { recursive: true });
    await Deno.copyFile(file.path, part);
    await using child = await openShell(["sh"], { home: dir.path });
    const onProgress = () => assert(false, "it was sent");
    await provision(child, { host: denoHost, payload: () => Promise.resolve(file), onProgress });
  },
);

test.needs("linux")("provision: another core than ours is replaced by ours", async () => {
  const core = { compressed: new Uint8Array(12_345), hash: "e".repeat(64) };
  const directory = `/home/ann/.cache/holdfast/${"d".repeat(64)}`;
  const { line, builtIn } = coreStart({ directory, coreHash: CORE }, { core, title: "t" });
  assertEquals(builtIn, false);
  assert(line.includes("N=12345") && line.includes(`${directory}/deno`), line);
});

test.needs("linux")("provision: a shell that ends takes no more, and says why", async () => {
  await using dir = await tempDir();
  const file = await writePayload(dir.join("holdfast"));
  await using child = await openShell(["sh"], { home: dir.path });
  const shell = new ProvisionShell(child);
  await shell.probe();
  const chunks = async function* () {
    yield await Deno.readFile(file.path);
  };
  await Deno.writeTextFile(dir.join("no directory"), "");
  const path = dir.join("no directory/part");
  const error = await assertRejects(
    () => shell.take(path, { at: 0, size: file.size, chunks: chunks() }),
    HoldfastError,
  );
  assertEquals(error.message, "it cannot be written; the disk may be full");
  assertEquals((await child.exit).code, 1);
});

test.needs("linux", "dash")(
  "first stage: its shell passes over exactly what was for a core",
  async () => {
    const child = await denoHost.spawn({ command: ["dash", "-c", shellAfter(10)], cwd: "/" });
    await child.stdin.write(new TextEncoder().encode("0123456789echo after\n"));
    await child.stdin.close();
    let said = "";
    for (let bytes = await child.stdout.read(); bytes; bytes = await child.stdout.read()) {
      said += new TextDecoder().decode(bytes);
    }
    assertEquals(said, "hf:shell\nafter\n");
    child.stderr.cancel();
    await child.exit;
  },
);

test("payload: the target of a system", () => {
  const systems = ["Linux x86_64", "Linux aarch64", "Darwin arm64", "Darwin x86_64", "Linux i686"];
  assertEquals(systems.map(targetOf), [
    ...["linux-x64", "linux-arm64", "macos-arm64", "macos-x64"],
    null,
  ]);
});

test.needs("linux")("payload: what is no built file is none", async () => {
  await using dir = await tempDir();
  assertEquals(await readPayload(denoHost, dir.join("nothing")), null);
  await Deno.writeTextFile(dir.join("text"), "#!/bin/sh\n");
  assertEquals(await readPayload(denoHost, dir.join("text")), null);
});

test.needs("linux")(
  "bootstrap: what a shell says behind its finding no runtime is kept",
  async () => {
    const script = "printf 'noise\\nholdfast-no-runtime\\nhf:shell\\n';cat >/dev/null";
    const child = await denoHost.spawn({ command: ["sh", "-c", script], cwd: "/" });
    const core = { compressed: new Uint8Array(3), hash: CORE };
    const options = { id: 1, name: "t", owner: "t", core, keepsShell: true };
    const error = await assertRejects(
      () => bootstrap(new Router({ id: 0 }), child, options),
      NoRuntime,
    );
    await new ProvisionShell(child, { heard: error.after }).ready();
    await child.stdin.close();
    child.stdout.cancel();
    await child.exit;
  },
);
