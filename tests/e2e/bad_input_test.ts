/** What bad input gets: a clear error in one or two lines, the right exit status, and no stack trace. */
import { assert, assertEquals, assertMatch } from "../support/assert.ts";
import { encodeGreeting } from "../../lib/core/greeting.ts";
import { VERSION } from "../../lib/rendezvous/version.ts";
import { createAccount } from "../support/accounts.ts";
import { type Outcome, Workspace } from "../support/holdfast.ts";
import { startSshd } from "../support/sshd.ts";
import { test } from "../support/test.ts";

const USAGE: [why: string, args: [string, ...string[]], stderr: RegExp][] = [
  ["a misspelt subcommand", ["exce", "local", "true"], /did you mean "exec"/],
  ["a misspelt option", ["exec", "--timout", "1", "local", "true"], /did you mean "--timeout"/],
  ["an unknown option", ["status", "--frobnicate"], /no such option/],
  [
    "a value that is none",
    ["exec", "--timeout", "soon", "local", "true"],
    /not a number of seconds/,
  ],
  ["an empty hop", ["exec", "web1,,db1", "true"], /a hop is empty/],
  ["a bad port", ["exec", "web1:99999", "true"], /not a number from 1 to 65535/],
  ["an unknown method", ["exec", "dokcer=web", "true"], /did you mean "docker"/],
  ["a host that begins with -", ["exec", "--", "-oProxyCommand=x", "true"], /Cannot read/],
  [
    "a host that begins with - after a user",
    ["exec", "ann@-oProxyCommand", "true"],
    /begins with "-"/,
  ],
  ["a user that begins with -", ["exec", "--", "-x@web1", "true"], /begins with "-"/],
  ["a user option that begins with -", ["exec", "-l", "-x", "web1", "true"], /begins with "-"/],
  ["no command", ["exec", "local"], /COMMAND is missing/],
  ["no target", ["exec"], /TARGET is missing/],
  ["two targets to disconnect", ["disconnect", "a", "b"], /only one TARGET/],
  ["a malformed target to disconnect", ["disconnect", "a,,b"], /a hop is empty/],
  ["a word for stop", ["stop", "web1"], /holdfast disconnect TARGET/],
];

test("usage: an error of one line and status 2", async (t) => {
  await using workspace = await Workspace.create();
  for (const [why, [subcommand, ...args], stderr] of USAGE) {
    await t.step(why, async () => {
      const outcome = await workspace.run(subcommand, args);
      assertClear(outcome, { code: 2, stderr });
    });
  }
});

test("runtime directory: one that others could use is refused", async () => {
  await using workspace = await Workspace.create();
  await Deno.chmod(workspace.dir, 0o755);
  const outcome = await workspace.run("exec", ["local", "true"]);
  assertClear(outcome, { code: 255, stderr: /its mode is 0755, open to others; run: chmod 700/ });
  await Deno.chmod(workspace.dir, 0o700);
});

test.needs("root")("runtime directory: somebody else's is refused", async () => {
  await using workspace = await Workspace.create();
  await Deno.chown(workspace.dir, 65534, 65534);
  const outcome = await workspace.run("exec", ["local", "true"]);
  assertClear(outcome, { code: 255, stderr: /belongs to user id 65534/ });
});

test("runtime directory: a link, a file and a relative path are refused", async () => {
  await using workspace = await Workspace.create();
  const run = (dir: string) => workspace.run("status", [], { env: { HOLDFAST_DIR: dir } });
  await Deno.symlink(workspace.dir, workspace.join("link"));
  assertClear(await run(workspace.join("link")), { code: 255, stderr: /not a directory/ });
  assertClear(await run(workspace.config), { code: 255, stderr: /not a directory/ });
  assertClear(await run("run"), { code: 2, stderr: /not an absolute path/ });
  const missing = workspace.join("missing/deeper");
  const env = { HOLDFAST_DIR: missing };
  const outcome = await workspace.run("exec", ["local", "true"], { env });
  assertClear(outcome, { code: 255, stderr: /cannot be made/ });
});

test("runtime directory: a socket path over 107 bytes is refused", async () => {
  await using workspace = await Workspace.create();
  const env = { HOLDFAST_DIR: `${workspace.dir}/${"x".repeat(100)}` };
  for (const subcommand of ["status", "stop"]) {
    const outcome = await workspace.run(subcommand, [], { env });
    assertClear(outcome, { code: 2, stderr: /shorter directory/ });
  }
});

test("settings: a bad value in the environment is named", async () => {
  await using workspace = await Workspace.create();
  const env = { HOLDFAST_IDLE_TIMEOUT: "soon" };
  const outcome = await workspace.run("exec", ["local", "true"], { env });
  assertClear(outcome, { code: 2, stderr: /HOLDFAST_IDLE_TIMEOUT="soon"/ });
});

test("socket: garbage and half frames harm nobody", async () => {
  await using workspace = await Workspace.create();
  await workspace.run("exec", ["local", "true"]);
  const pieces = [
    new TextEncoder().encode("GET / HTTP/1.1\r\nHost: x\r\n\r\n"),
    crypto.getRandomValues(new Uint8Array(65536)).map((byte, i) => i === 0 ? byte | 1 : byte),
    Uint8Array.of(0xff, 0x00, 0x48, 0x4f, 0x4c, 0x44, 0x0d, 0x0a, 0, 1, 0xff),
    Uint8Array.of(0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0x45),
    new Uint8Array(0),
    encodeGreeting({ cookie: "not the daemon's", version: VERSION }),
    ...await Promise.all([halfFrame, hugeFrame, noFrame].map(async (bytes) => {
      const cookie = await Deno.readTextFile(`${workspace.dir}/cookie`);
      return Uint8Array.of(...encodeGreeting({ cookie, version: VERSION }), ...bytes);
    })),
  ];
  for (const piece of pieces) {
    using conn = await Deno.connect({ transport: "unix", path: `${workspace.dir}/socket` });
    await conn.write(piece);
    await conn.closeWrite();
    await new Response(conn.readable).bytes().catch(() => {});
  }
  const { code, stdout } = await workspace.run("exec", ["local", "echo fine"]);
  assertEquals([code, stdout], [0, "fine\n"]);
});

test.needs("sshd", "namespaces")("hosts: what cannot be reached or trusted is named", async (t) => {
  await using sshd = await startSshd();
  await using account = await createAccount({ runtimes: ["deno"] });
  await using workspace = await Workspace.create();
  const target = { user: account.name, port: sshd.port };
  const strict = "StrictHostKeyChecking yes";
  await workspace.addHost("unknown", { ...target, config: [strict] });
  await workspace.addHost("target", target);
  using nobody = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = nobody.addr;
  nobody.close();
  await workspace.addHost("refusing", { ...target, port });

  await t.step("a port where nobody listens", async () => {
    const outcome = await workspace.run("exec", ["refusing", "true"]);
    assertClear(outcome, { code: 255, stderr: new RegExp(`127\\.0\\.0\\.1.*${port}`) });
  });
  await t.step("a name that does not exist", async () => {
    const outcome = await workspace.run("exec", ["no-such-host.invalid", "true"]);
    assertClear(outcome, { code: 255, stderr: /no-such-host\.invalid/ });
  });
  await t.step("an unknown host key", async () => {
    assertClear(await workspace.run("exec", ["unknown", "true"]), {
      code: 255,
      stderr: /ED25519 key SHA256:\S+ is not known/,
    });
  });
  await t.step("a changed host key", async () => {
    const other =
      "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
    await Deno.writeTextFile(workspace.knownHosts, `[127.0.0.1]:${sshd.port} ${other}\n`);
    const outcome = await workspace.run("exec", ["target", "true"]);
    assertClear(outcome, { code: 255, stderr: /key SHA256:\S+ is not the one in/ });
    assertEquals(await sshd.logins(), 0);
  });
  await t.step("a login that is refused", async () => {
    await Deno.writeTextFile(workspace.knownHosts, "");
    await workspace.trust(sshd);
    const outcome = await workspace.run("exec", ["-l", "nobody-here", "target", "true"]);
    assertClear(outcome, { code: 255, stderr: /nobody-here@/ });
  });
});

/** Magic, dst, src, auth, handle, reply_to, length; then less than that. */
const header = [0x4d, 0x49, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 110, 0, 0, 3, 232];
const halfFrame = [...header, 0, 0, 0, 9, 0x7b];
const hugeFrame = [...header, 0xff, 0xff, 0xff, 0xff, 0x7b];
const noFrame = new Array(64).fill(0x20);

function assertClear(outcome: Outcome, expected: { code: number; stderr: RegExp }): void {
  const { code, stdout, stderr } = outcome;
  assertMatch(stderr, expected.stderr);
  assertEquals([code, stdout], [expected.code, ""]);
  assertMatch(stderr, /^holdfast: /);
  const lines = stderr.trimEnd().split("\n");
  assert(lines.length <= 2 && !/^\s+at /m.test(stderr), stderr);
}
