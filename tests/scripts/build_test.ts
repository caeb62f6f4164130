/** The built file: what a user runs who has nothing else, and what it does where it cannot unpack itself. */

import { createAccount } from "../support/accounts.ts";
import { build } from "../../scripts/build.ts";
import { ownTarget } from "../../scripts/build/runtime.ts";
import { assert, assertEquals, assertMatch, assertStringIncludes } from "../support/assert.ts";
import { builtFile as file, TOOLS, User } from "../support/built_file.ts";
import { killProcesses } from "../support/processes.ts";
import { startSshd } from "../support/sshd.ts";
import { tempDir } from "../support/temp.ts";
import { test } from "../support/test.ts";
import { findExecutable } from "../support/tools.ts";

const builds = test.needs("linux", "gzip", "tar", "sha256sum");
const hosts = test.needs("linux", "gzip", "tar", "sha256sum", "sshd", "ssh", "root");
const full = test.needs("linux", "gzip", "tar", "sha256sum", "namespaces");

const VERSION = /^holdfast [\d.]+ \(commit \w+\+?, core [0-9a-f]{12}, protocol 1, deno [\d.]+\)\n$/;

builds("build: the same tree gives the same bytes", async () => {
  await using dir = await tempDir();
  await build(dir.join("again"), { target: ownTarget()! });
  const [first, second] = await Promise.all([file(), dir.join("again")].map(digest));
  assertEquals(first, second);
});

hosts("built file: a link named ssh takes ssh's command line", async () => {
  await using sshd = await startSshd();
  await using account = await createAccount({ runtimes: ["deno"], shell: "/bin/sh" });
  await using user = await User.create();
  await user.workspace.addHost("target", { user: account.name, port: sshd.port });
  await user.workspace.trust(sshd);
  const path = user.workspace.join("ssh");
  await Deno.symlink(await file(), path);
  const config = ["-F", user.workspace.config];
  const { code, stdout, stderr } = await user.run([...config, "target", "cat; exit 7"], {
    path,
    stdin: "good",
  });
  assertEquals([code, stdout, stderr], [7, "good", ""]);
  // It is on PATH before the real one, which is asked all the same, by the daemon too.
  const env = { PATH: `${user.workspace.join("")}:${user.env.PATH}` };
  const version = await user.run(["-V"], { path, env });
  assertMatch(version.stderr, /^OpenSSH_/);
  assertEquals((await user.run(["ssh", "target", "exit 8"], { env })).code, 8);
  const background = await user.run([...config, "-f", "target", "sleep 0; echo later"], { path });
  assertEquals([background.code, background.stdout], [0, "later\n"]);
});

hosts("built file: runs, copies and relays from an empty home, without Deno", async () => {
  await using sshd = await startSshd();
  await using account = await createAccount({ runtimes: ["deno"], shell: "/bin/sh" });
  await using user = await User.create();
  await user.workspace.addHost("target", { user: account.name, port: sshd.port });
  await user.workspace.trust(sshd);
  const { code, stdout, stderr } = await user.run(["exec", "target", "cat; echo bad >&2; exit 7"], {
    stdin: "good",
  });
  assertEquals([code, stdout, stderr], [7, "good", "bad\n"]);
  const back = user.workspace.join("back");
  await Deno.writeTextFile(`${user.env.HOME}/here`, "content");
  assertEquals((await user.run(["put", "target", "here", "there"])).stderr, "");
  assertEquals((await user.run(["fetch", "target", "there", back])).stderr, "");
  assertEquals(await Deno.readTextFile(back), "content");
  const relayed = await user.run(["client", "target"], { stdin: "EXEC: echo one\nEXEC: exit 5\n" });
  assertEquals([relayed.code, relayed.stdout], [5, "one\n"]);
  const ssh = user.workspace.join("ssh");
  await Deno.symlink(await file(), ssh);
  const linked = ["-F", user.workspace.config, "target", "echo two"];
  assertEquals((await user.run(linked, { path: ssh })).stdout, "two\n");
  assertMatch((await user.run(["--version"])).stdout, VERSION);
  assertEquals((await user.run(["stop"])).code, 0);
  assertEquals(user.unpacked(user.cache).length, 1);
});

builds("built file: what it needs in its environment does not reach commands", async () => {
  await using user = await User.create([...TOOLS, "env"]);
  const { stdout } = await user.run(["exec", "local", "env"], { env: { DENO_DIR: "/own" } });
  const names = stdout.split("\n").filter((line) => /^(DENO|HF)_/.test(line));
  assertEquals(names, ["DENO_DIR=/own"]);
  assertStringIncludes(stdout, `PATH=${user.env.PATH}\n`);
});

builds("built file: first starts at once all succeed, and leave one whole copy", async () => {
  await using user = await User.create();
  const starts = Array.from({ length: 3 }, () => user.run(["--version"]));
  for (const { code, stdout, stderr } of await Promise.all(starts)) {
    assertEquals([code, stderr], [0, ""]);
    assertMatch(stdout, VERSION);
  }
  assertEquals(user.unpacked(user.cache).length, 1);
});

for (const killed of [false, true]) {
  const then = killed ? "unpacks, and when that is killed the next one" : "unpacks for all";
  builds(`built file: of first starts at once the first ${then}`, async () => {
    await using user = await User.create([...TOOLS.filter((name) => name !== "tar"), "sleep"]);
    const [log, gate] = ["log", "gate"].map((name) => user.workspace.join(name));
    await command("mkfifo", gate);
    const tar = `echo x >>'${log}'; read -r go <'${gate}'; exec ${findExecutable("tar")} "$@"`;
    await Deno.writeTextFile(`${user.env.PATH}/tar`, `#!/bin/sh\n${tar}\n`, { mode: 0o755 });
    const begun = () => Deno.readTextFile(log).then(({ length }) => length / 2, () => 0);
    const starts = [user.run(["--version"])];
    await until(async () => await begun() === 1);
    const first = user.workspace.processes();
    starts.push(user.run(["--version"]), user.run(["--version"]));
    await until(() => user.unpacking(user.cache) === 3);
    if (killed) {
      await killProcesses(first);
      await until(async () => await begun() === 2);
    }
    await Deno.writeTextFile(gate, "go\n");
    const codes = (await Promise.all(starts)).map(({ code }) => code);
    assertEquals([codes, await begun()], killed ? [[137, 0, 0], 2] : [[0, 0, 0], 1]);
    assertEquals(user.unpacked(user.cache).length, 1);
  });
}

builds("built file: a cache that cannot be written leaves the session's directory", async () => {
  await using user = await User.create();
  await Deno.writeTextFile(user.cache, "no directory");
  for (let start = 0; start < 2; start++) {
    const { code, stderr } = await user.run(["--version"]);
    assertEquals([code, stderr], [0, ""]);
  }
  assertEquals(user.unpacked(user.env.XDG_RUNTIME_DIR).length, 1);
});

full("built file: with a read-only home it runs, and writes nothing there", async () => {
  await using user = await User.create();
  const { HOME } = user.env;
  await command("mount", "--bind", HOME, HOME);
  try {
    await command("mount", "-o", "remount,bind,ro", HOME);
    const { code, stdout, stderr } = await user.run(["exec", "local", "echo $HOME; exit 3"]);
    assertEquals([code, stdout, stderr], [3, `${HOME}\n`, ""]);
    assertEquals((await user.run(["stop"])).code, 0);
  } finally {
    await command("umount", HOME);
  }
  assertEquals(user.unpacked(user.cache), []);
  assertEquals(user.unpacked(user.env.XDG_RUNTIME_DIR).length, 1);
});

full("built file: a full cache leaves the session's directory, and nothing behind", async () => {
  await using user = await User.create();
  await Deno.mkdir(user.cache);
  await command("mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", user.cache);
  try {
    const { code, stderr } = await user.run(["--version"]);
    assertEquals([code, stderr], [0, ""]);
    assertEquals(user.unpacked(user.cache), []);
    assertEquals(user.unpacked(user.env.XDG_RUNTIME_DIR).length, 1);
  } finally {
    await command("umount", user.cache);
  }
});

builds("built file: a directory that others can write is not run from", async () => {
  await using user = await User.create();
  await Deno.writeTextFile(user.cache, "no directory");
  const { XDG_RUNTIME_DIR } = user.env;
  assertEquals((await user.run(["--version"])).code, 0);
  const [name] = user.unpacked(XDG_RUNTIME_DIR);
  const trap = `${XDG_RUNTIME_DIR}/holdfast/${name}/help.mjs`;
  await Deno.writeTextFile(trap, "console.log('trapped')");
  assertEquals((await user.run(["--version"])).stdout, "trapped\n");
  await Deno.chmod(`${XDG_RUNTIME_DIR}/holdfast`, 0o777);
  const env = { XDG_CACHE_HOME: user.workspace.join("cache") };
  assertMatch((await user.run(["--version"], { env })).stdout, VERSION);
});

const damages: [string, (bytes: Uint8Array) => Uint8Array][] = [
  ["cut short", (bytes) => bytes.subarray(0, bytes.length - 1)],
  ["changed in one byte", (bytes) => bytes.with(bytes.length - 1000, bytes.at(-1000)! ^ 1)],
];

for (const [what, damage] of damages) {
  builds(`built file: ${what} it says so and runs nothing`, async () => {
    await using user = await User.create();
    const path = user.workspace.join("damaged");
    await Deno.writeFile(path, damage(await Deno.readFile(await file())), { mode: 0o755 });
    const { code, stdout, stderr } = await user.run(["--version"], { path });
    assertEquals([code, stdout], [255, ""]);
    assertMatch(stderr, /^holdfast: Cannot unpack ".*damaged": it is damaged .*\n$/);
    assertEquals(user.unpacked(user.cache), []);
  });
}

builds("built file: on another machine it says which one it is for", async () => {
  await using user = await User.create(TOOLS.filter((name) => name !== "uname"));
  const uname = `${user.env.PATH}/uname`;
  await Deno.writeTextFile(uname, "#!/bin/sh\ncase $1 in -s) echo Plan9;; *) echo sparc;; esac\n");
  await Deno.chmod(uname, 0o755);
  const { code, stderr } = await user.run(["--version"]);
  assertEquals(code, 255);
  assertMatch(stderr, /^holdfast: Cannot run ".*": it is for \S+, and this is Plan9 sparc\n$/);
});

builds("built file: without a tool that it unpacks itself with, it says so", async () => {
  for (const tool of ["id", "ls", "tar", "uname"]) {
    await using user = await User.create(TOOLS.filter((name) => name !== tool));
    const { code, stdout, stderr } = await user.run(["--version"]);
    assertEquals([code, stdout], [255, ""]);
    assertMatch(stderr, new RegExp(`^holdfast: Cannot unpack ".*": ${tool} is missing\n$`));
  }
});

builds("built file: without gzip it takes busybox's, and without that it says so", async () => {
  const tools = TOOLS.filter((name) => name !== "gzip");
  await using user = await User.create(tools);
  const { code, stderr } = await user.run(["--version"]);
  assertEquals(code, 255);
  assertMatch(stderr, /^holdfast: Cannot unpack ".*": gzip is missing/);
  const busybox = findExecutable("busybox");
  if (!busybox) return;
  await Deno.symlink(busybox, `${user.env.PATH}/busybox`);
  assertMatch((await user.run(["--version"])).stdout, VERSION);
});

/** For what announces itself to nobody; ended by its deadline. */
async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
  const late = AbortSignal.timeout(20_000);
  while (!await condition()) {
    late.throwIfAborted();
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

async function digest(path: string | Promise<string>): Promise<string> {
  const bytes = await Deno.readFile(await path);
  return new Uint8Array(await crypto.subtle.digest("SHA-256", bytes)).toHex();
}

async function command(program: string, ...args: string[]): Promise<void> {
  const { success } = await new Deno.Command(program, { args, stdin: "null" }).output();
  assert(success, `${program} ${args.join(" ")}`);
}
