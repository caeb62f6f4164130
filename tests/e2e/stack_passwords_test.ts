/** Passwords for hops: asked where the user is, used once, found nowhere. */
import { assert, assertEquals, assertMatch, assertStringIncludes } from "../support/assert.ts";
import { createAccount } from "../support/accounts.ts";
import { Workspace } from "../support/holdfast.ts";
import { programWords } from "../support/program.ts";
import { startSshd } from "../support/sshd.ts";
import { test } from "../support/test.ts";

const SECRET = "hop-s3cret-Tr0ub4dor";
const hosts = test.needs("sshd", "namespaces", "sudo");

async function makeWorld() {
  await using stack = new AsyncDisposableStack();
  const sshd = stack.use(await startSshd());
  const account = stack.use(
    await createAccount({ runtimes: ["deno"], password: SECRET, sudo: "password" }),
  );
  await Deno.chmod(account.home, 0o755);
  const workspace = stack.use(await Workspace.create());
  await workspace.addHost("web1", { user: account.name, port: sshd.port });
  await workspace.trust(sshd);
  const secret = workspace.join("secret");
  await Deno.writeTextFile(secret, `${SECRET}\n`, { mode: 0o600 });
  const asked = workspace.join("asked");
  const owned = stack.move();
  return {
    workspace,
    /** Prints the password and notes what it was asked. */
    command: `printf '%s|%s\\n' "$HOLDFAST_TARGET" "$HOLDFAST_QUESTION" >>${asked}; cat ${secret}`,
    wrong: `echo x >>${asked}; echo wrong-Passw0rd`,
    async asked(): Promise<string[]> {
      const text = await Deno.readTextFile(asked).catch(() => "");
      return text.split("\n").filter((line) => line !== "");
    },
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

hosts(
  "hop password: --password-command is asked once for all who wait, and leaves no trace",
  async () => {
    await using world = await makeWorld();
    const { workspace, command } = world;
    const runs = ["1", "2", "3"].map((name) =>
      workspace.run("exec", [
        "--password-command",
        command,
        "web1,sudo",
        `echo ${name}; id -u; cat /proc/self/environ /proc/self/cmdline`,
      ])
    );
    for (const [at, { code, stdout, stderr }] of (await Promise.all(runs)).entries()) {
      assertEquals([code, stdout.split("\n").slice(0, 2), stderr], [0, [`${at + 1}`, "0"], ""]);
      assert(!stdout.includes(SECRET));
    }
    const asked = await world.asked();
    assertEquals(asked.length, 1);
    assertMatch(asked[0], /^web1,sudo\|web1,sudo: .*password/);
    const { stdout } = await workspace.run("exec", ["web1,sudo", "cat /proc/[0-9]*/cmdline"]);
    assert(!stdout.includes(SECRET), "a process's arguments hold the password");
    const log = await Deno.readTextFile(`${workspace.dir}/log`);
    assert(!log.includes(SECRET), "the log holds the password");
  },
);

hosts(
  "hop password: a wrong one is told once, is not repeated, and leaves nothing half open",
  async () => {
    await using world = await makeWorld();
    const { workspace, wrong } = world;
    const args = ["--password-command", wrong, "web1,sudo", "true"];
    const { code, stdout, stderr } = await workspace.run("exec", args);
    assertEquals([code, stdout], [255, ""]);
    assertMatch(stderr, /^holdfast: web1,sudo: [^\n]*password[^\n]*\n/);
    assert(!stderr.includes("wrong-Passw0rd"));
    assertEquals((await world.asked()).length, 1);
    const { connections } = JSON.parse((await workspace.run("status", ["--json"])).stdout);
    assertEquals(connections.map(({ target }: { target: string }) => target), ["web1"]);
  },
);

hosts("hop password: with nobody to ask, the error says what to do", async () => {
  await using world = await makeWorld();
  const env = { SSH_ASKPASS_REQUIRE: "never" };
  const program = programWords({ home: world.workspace.home });
  const { code, stderr } = await new Deno.Command("setsid", {
    args: ["-w", ...program, ...world.workspace.args("exec", "web1,sudo", "true")],
    env: { ...await world.workspace.env(), ...env },
    clearEnv: true,
    stdin: "null",
  }).output();
  const text = new TextDecoder().decode(stderr);
  assertEquals(code, 255);
  assertStringIncludes(text, "web1,sudo: ");
  assertStringIncludes(text, "--password-command");
});

hosts("hop password: the relay's become_pass opens the hop", async () => {
  await using world = await makeWorld();
  const block = { remote_addr: "web1", become: true, become_user: "root", become_pass: SECRET };
  const { code, stdout, stderr } = await world.workspace.run("client", [], {
    stdin: `${JSON.stringify(block)}\n#END_INIT#\nEXEC: id -u\n`,
  });
  assertEquals([code, stdout, stderr], [0, "0\n", ""]);
});
