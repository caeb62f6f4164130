/** What a build makes for other machines, and with `deno compile`: with stand-ins for what cannot be had everywhere. */

import { writeModules } from "../../scripts/build/compiled.ts";
import { compileParts } from "../../scripts/build/parts.ts";
import { TARGETS } from "../../scripts/build/runtime.ts";
import { assert, assertEquals, assertMatch, assertStringIncludes } from "../support/assert.ts";
import { REPOSITORY } from "../support/holdfast.ts";
import { type TempDir, tempDir } from "../support/temp.ts";
import { test } from "../support/test.ts";
import { findExecutable } from "../support/tools.ts";

const builds = test.needs("linux", "gzip", "tar", "sha256sum");

async function runBuild(dir: TempDir, target: string, env: Record<string, string>) {
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "scripts/build.ts", "--target", target, "--out", dir.join("dist")],
    cwd: REPOSITORY,
    env: { NO_COLOR: "1", ...env },
    stdin: "null",
  }).output();
  const decoder = new TextDecoder();
  return { code, stdout: decoder.decode(stdout), stderr: decoder.decode(stderr) };
}

/** A directory whose npm writes down what it is asked for, and gives a package that holds this as its Deno. */
async function fakeNpm(dir: TempDir, deno: string): Promise<string> {
  await Deno.mkdir(dir.join("package"));
  await Deno.mkdir(dir.join("bin"));
  await Deno.writeTextFile(dir.join("package/deno"), deno);
  const script = `#!/bin/sh\necho "$@" >>${dir.join("asked")}\n` +
    `tar czf deno.tgz -C ${dir.path} package/deno && echo deno.tgz\n`;
  await Deno.writeTextFile(dir.join("bin/npm"), script);
  await Deno.chmod(dir.join("bin/npm"), 0o755);
  return `${dir.join("bin")}:${Deno.env.get("PATH")}`;
}

/** Of a foreign machine's system, what a file for it takes and ours is not. */
const FOREIGN = Object.keys(TARGETS).filter((target) =>
  target !== "linux-x64" || Deno.build.arch !== "x86_64"
).filter((target) => target !== "linux-arm64" || Deno.build.arch !== "aarch64");

for (const target of FOREIGN) {
  builds(`build: for ${target} it takes that machine's Deno, and says so on another`, async () => {
    await using dir = await tempDir();
    const PATH = await fakeNpm(dir, `the Deno of ${target}`);
    const { code, stdout, stderr } = await runBuild(dir, target, { PATH });
    assertEquals([code, stderr], [0, ""]);
    assertMatch(stdout, new RegExp(`/holdfast-${target}: self-contained script with Deno `));
    const asked = await Deno.readTextFile(dir.join("asked"));
    const { package: name, system } = TARGETS[target];
    assertEquals(asked, `pack --loglevel=error ${name}@${Deno.version.deno}\n`);
    const file = dir.join(`dist/holdfast-${target}`);
    assertEquals((await Deno.stat(file)).mode! & 0o777, 0o755);
    assertStringIncludes(await Deno.readTextFile(file), `\n  ${system}) ;;\n`);
    const unpacked = await unpack(dir, file);
    assertEquals(await Deno.readTextFile(`${unpacked}/deno`), `the Deno of ${target}`);
    const names = [...Deno.readDirSync(unpacked)].map(({ name }) => name);
    for (const part of ["help", "exec", "ssh", "daemon"]) assert(names.includes(`${part}.mjs`));
    const started = await new Deno.Command(file, {
      args: ["--version"],
      env: { HOME: dir.path, PATH: Deno.env.get("PATH")! },
      clearEnv: true,
    }).output();
    assertEquals([started.code, started.stdout.length], [255, 0]);
    const said = new TextDecoder().decode(started.stderr);
    assertMatch(said, new RegExp(`^holdfast: Cannot run ".*": it is for ${target}, and this is `));
    assertEquals([...Deno.readDirSync(dir.path)].some(({ name }) => name === ".cache"), false);
  });
}

builds("build: a runtime that cannot be had is named in one line", async () => {
  await using dir = await tempDir();
  await Deno.mkdir(dir.join("bin"));
  await Deno.symlink(findExecutable("false")!, dir.join("bin/npm"));
  const PATH = `${dir.join("bin")}:${Deno.env.get("PATH")}`;
  const { code, stdout, stderr } = await runBuild(dir, FOREIGN[0], { PATH });
  const spec = `${TARGETS[FOREIGN[0]].package}@${Deno.version.deno}`;
  assertEquals([code, stdout, stderr], [
    1,
    "",
    `build: Cannot get the runtime: npm pack --loglevel=error ${spec} failed\n`,
  ]);
  assertEquals([...Deno.readDirSync(dir.join("dist"))], []);
});

test.needs("linux", "true")("build: with denort it is deno compile's product", async () => {
  await using dir = await tempDir();
  // Any executable takes what is appended to it; what it holds can then be seen, if not run.
  const DENORT_BIN = findExecutable("true")!;
  const target = Deno.build.arch === "x86_64" ? "linux-x64" : "linux-arm64";
  const { code, stdout, stderr } = await runBuild(dir, target, { DENORT_BIN });
  assertEquals([code, stderr], [0, ""]);
  assertStringIncludes(stdout, `: compiled by Deno ${Deno.version.deno} with ${DENORT_BIN}, `);
  const content = new TextDecoder("latin1").decode(await Deno.readFile(dir.join("dist/holdfast")));
  assertStringIncludes(content, 'test(process.argv0) ? ["ssh", ...Deno.args] : Deno.args;');
  assertMatch(content, /globalThis\.holdfastBuild=\{"commit":"\w+\+?","compiled":true,/);
  for (const part of ["help", "exec", "ssh", "daemon"]) {
    assertStringIncludes(content, `${part}.mjs`);
  }
});

test.needs("linux", "bash", "ssh")(
  "build: what is compiled chooses its part by the first word, and by the name ssh",
  async () => {
    await using dir = await tempDir();
    await writeModules(dir.path, await compileParts({ commit: "abc", compiled: true }));
    const start = async (name: string, word: string) => {
      const script = 'exec -a "$0" "$1" run -A "$2/main.mjs" "$3"';
      const { stdout, stderr } = await new Deno.Command("bash", {
        args: ["-c", script, name, Deno.execPath(), dir.path, word],
      }).output();
      return new TextDecoder().decode(stdout) + new TextDecoder().decode(stderr);
    };
    assertMatch(await start("/somewhere/ssh", "-V"), /^OpenSSH_/);
    assertMatch(await start("holdfast", "--version"), /^holdfast [\d.]+ \(commit abc, /);
    assertMatch(await start("holdfast", "exec"), /^holdfast: Cannot run: TARGET is missing/);
  },
);

/** The directory with what is behind the file's head. */
async function unpack(dir: TempDir, file: string): Promise<string> {
  const head = new TextDecoder().decode((await Deno.readFile(file)).subarray(0, 20_000));
  const [, offset] = /tail -c \+(\d+) "\$self"/.exec(head)!;
  const into = dir.join("unpacked");
  await Deno.mkdir(into);
  const script = 'tail -c +"$1" "$2" | gzip -dc | tar xf - -C "$3"';
  const args = ["-c", script, "sh", offset, file, into];
  assert((await new Deno.Command("sh", { args }).output()).success);
  return into;
}
