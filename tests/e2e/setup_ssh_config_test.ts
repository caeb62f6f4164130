/** `holdfast setup ssh-config`: what unmodified ssh, git and rsync then do, and what becomes of the user's file. */
import { assert, assertEquals, assertMatch, assertStringIncludes } from "../support/assert.ts";
import { createAccount } from "../support/accounts.ts";
import { Workspace } from "../support/holdfast.ts";
import { startSshd } from "../support/sshd.ts";
import { test } from "../support/test.ts";

const hosts = test.needs("sshd", "ssh", "root", "git", "rsync");

interface Ran {
  code: number;
  stdout: string;
  stderr: string;
}

async function run(
  [program, ...args]: string[],
  { env, stdin = "" }: { env: Record<string, string>; stdin?: string },
): Promise<Ran> {
  await using child = new Deno.Command(program, {
    args,
    env,
    clearEnv: true,
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const sent = new Blob([stdin]).stream().pipeTo(child.stdin).catch(() => {});
  const { code, stdout, stderr } = await child.output();
  await sent;
  const decoder = new TextDecoder();
  return { code, stdout: decoder.decode(stdout), stderr: decoder.decode(stderr) };
}

hosts("setup ssh-config: plain ssh, git and rsync go over the held connection", async () => {
  await using sshd = await startSshd();
  await using account = await createAccount({ runtimes: ["deno"], shell: "/bin/sh" });
  await using workspace = await Workspace.create();
  await workspace.addHost("web1", { user: account.name, port: sshd.port });
  await workspace.addHost("other", { user: account.name, port: sshd.port });
  await workspace.trust(sshd);
  const config = workspace.join("c"); // ssh's sockets lie beside it, and their paths are short
  await Deno.copyFile(workspace.config, config);
  const env = await workspace.env();
  const ssh = (words: string[], stdin?: string) =>
    run(["ssh", "-F", config, ...words], { env, stdin });
  const written = await workspace.run("setup", ["ssh-config", "--write", "-F", config, "web1"]);
  assertEquals([written.code, written.stderr], [0, ""]);

  // For others nothing changes, and for what the daemon asks neither.
  const resolved = async (host: string, more = {}) =>
    (await run(["ssh", "-F", config, "-G", host], { env: { ...env, ...more } })).stdout;
  assertMatch(await resolved("web1"), /^proxycommand .* -W localhost:%p %n$/m);
  assertEquals((await resolved("other")).includes("proxycommand"), false);
  assertEquals(
    (await resolved("web1", { HOLDFAST_RESOLVES: "1" })).replaceAll("web1", ""),
    (await resolved("other")).replaceAll("other", ""),
  );

  try {
    const first = await ssh(["web1", "cat; echo bad >&2; exit 7"], "good");
    assertEquals([first.code, first.stdout, first.stderr], [7, "good", "bad\n"]);
    const held = JSON.parse((await workspace.run("status", ["--json"])).stdout).connections;
    assertEquals(held.map(({ target }: { target: string }) => target), ["web1"]);
    assertEquals((await ssh(["-O", "check", "web1"])).code, 0);

    const git = (...words: string[]) =>
      run(["git", ...words], {
        env: { ...env, GIT_CONFIG_NOSYSTEM: "1", GIT_SSH_COMMAND: `ssh -F ${config}` },
      });
    assertEquals((await ssh(["web1", "git init -q --bare x.git"])).code, 0);
    const clone = workspace.join("clone");
    assertEquals((await git("clone", "-q", "web1:x.git", clone)).code, 0);
    const source = workspace.join("source");
    await Deno.mkdir(source);
    await Deno.writeTextFile(`${source}/file`, "content");
    const rsync = ["rsync", "-a", "-e", `ssh -F ${config}`, `${source}/`, "web1:copy/"];
    assertEquals(await run(rsync, { env }), { code: 0, stdout: "", stderr: "" });
    assertEquals(await Deno.readTextFile(`${account.home}/copy/file`), "content");

    // It is the held connection: without it nothing goes on.
    const waiting = ssh(["-tt", "web1", "touch started; sleep 60"]);
    await until(() => ssh(["web1", "test -e started"]).then(({ code }) => code === 0));
    const closed = await workspace.run("disconnect", ["-F", config, "web1"]);
    assertEquals(closed.stdout, "closed the connection to web1\n");
    assertEquals((await waiting).code, 255);
  } finally {
    await ssh(["-O", "exit", "web1"]);
  }
});

test("setup ssh-config: the file keeps all that is not ours, its mode and the link to it", async () => {
  await using workspace = await Workspace.create();
  const real = workspace.join("real");
  const link = workspace.join("link");
  const before = "User everywhere\n\nHost web1\n  Port 2222"; // without an end of line
  await Deno.writeTextFile(real, before);
  await Deno.chmod(real, 0o640);
  await Deno.symlink(real, link);
  const setup = (...words: string[]) =>
    workspace.run("setup", ["ssh-config", ...words, "-F", link]);
  const printed = await setup("web1");
  assertMatch(printed.stdout, /^# >>> holdfast .*--remove\nMatch originalhost web1 [^]*\n# <<< /);
  assertEquals(await Deno.readTextFile(real), before);

  assertStringIncludes((await setup("--write", "web1")).stdout, ": now for web1\n");
  assertEquals(await Deno.readTextFile(real), printed.stdout + before);
  assertStringIncludes((await setup("--write", "web1")).stdout, ": as before, for web1\n");
  const info = await Deno.stat(real);
  assertEquals(info.mode! & 0o777, 0o640);
  assert((await Deno.lstat(link)).isSymlink);
  // Where the user has put it, it stays.
  await Deno.writeTextFile(real, `# first\n${printed.stdout}${before}`);
  assertStringIncludes((await setup("--write", "db", "web1")).stdout, ": now for web1, db\n");
  const both = await Deno.readTextFile(real);
  assertEquals(both, `# first\n${printed.stdout.replace("web1", "web1,db")}${before}`);
  assertStringIncludes((await setup("--remove", "web1")).stdout, ": now for db\n");
  assertStringIncludes((await setup("--remove")).stdout, ": now for no host\n");
  assertEquals(await Deno.readTextFile(real), `# first\n${before}`);
  assertStringIncludes((await setup("--remove")).stdout, ": as before, for no host\n");

  const fresh = workspace.join("new/config");
  const made = await workspace.run("setup", ["ssh-config", "--write", "-F", fresh, "web1"]);
  assertEquals(made.code, 0);
  assertEquals((await Deno.stat(fresh)).mode! & 0o777, 0o600);
  assertEquals((await Deno.stat(workspace.join("new"))).mode! & 0o777, 0o700);
});

test.needs("linux", "root")("setup ssh-config: the file stays its owner's", async () => {
  await using workspace = await Workspace.create();
  const config = workspace.join("config");
  await Deno.writeTextFile(config, "");
  await Deno.chown(config, 12345, 12346);
  await workspace.run("setup", ["ssh-config", "--write", "-F", config, "web1"]);
  const { uid, gid, size } = await Deno.stat(config);
  assertEquals([uid, gid, size > 0], [12345, 12346, true]);
});

test("setup ssh-config: what is no host's name is refused", async () => {
  await using workspace = await Workspace.create();
  for (const host of ["a b", "web1,sudo", "ann@web1", "x\nProxyCommand id", "-oX", "*", '"']) {
    const { code, stderr } = await workspace.run("setup", ["ssh-config", "--", host]);
    assertEquals(code, 2);
    assertMatch(stderr, /^holdfast: Cannot set up host ".*": it must be a name .*\n$/);
  }
  for (const words of [[], ["sshconfig", "h"], ["ssh-config"], ["ssh-config", "--write"]]) {
    assertEquals((await workspace.run("setup", words)).code, 2);
  }
});

/** Asks again and again, each time over a process of its own. */
async function until(isSo: () => Promise<boolean>): Promise<void> {
  for (let tries = 0; tries < 200; tries++) if (await isSo()) return;
  throw new Error("it never came to that");
}
