/** Passwords: asked once, on the asking client's side, and never seen anywhere else. */
import { assert, assertEquals, assertMatch } from "../support/assert.ts";
import { createAccount } from "../support/accounts.ts";
import { Workspace } from "../support/holdfast.ts";
import { killProcesses, readProcess, waitUntilGone } from "../support/processes.ts";
import { programWords } from "../support/program.ts";
import { type SshdOptions, startSshd } from "../support/sshd.ts";
import { test } from "../support/test.ts";

const SECRET = "s3cret-Tr0ub4dor";
const hosts = test.needs("sshd", "namespaces", "setsid");

hosts("password: asked once for several clients, and found nowhere", async () => {
  await using world = await makeWorld(SECRET);
  const { workspace, env } = world;
  const running = ["1", "2", "3", "4"].map((name) =>
    workspace.run("exec", ["target", `echo ${name}; cat /proc/self/environ`], { env })
  );
  const outcomes = await Promise.all(running);
  outcomes.forEach(({ code, stdout, stderr }, i) => {
    assertEquals([code, stdout.split("\n")[0], stderr], [0, String(i + 1), ""]);
    assert(!stdout.includes(SECRET), "the remote environment holds the password");
  });
  assertEquals((await world.asked()).length, 1);
  assertMatch((await world.asked())[0], /password/i);
  for (const { pid } of workspace.processes()) {
    for (const file of ["cmdline", "environ"]) {
      const text = await Deno.readTextFile(`/proc/${pid}/${file}`).catch(() => "");
      assert(!text.includes(SECRET), `/proc/${pid}/${file} holds the password`);
    }
  }
  for (const entry of Deno.readDirSync(workspace.dir)) {
    if (!entry.isFile) continue;
    const text = await Deno.readTextFile(`${workspace.dir}/${entry.name}`);
    assert(!text.includes(SECRET), `${entry.name} holds the password`);
  }
});

hosts("password: a wrong one is an error that does not repeat it", async () => {
  await using world = await makeWorld("wrong-passw0rd");
  const { code, stdout, stderr } = await world.workspace.run("exec", ["target", "true"], {
    env: world.env,
  });
  assertEquals([code, stdout], [255, ""]);
  assertMatch(stderr, /^holdfast: Cannot (log in|authenticate)/);
  assert(!stderr.includes("wrong-passw0rd") && stderr.trim().split("\n").length <= 2, stderr);
  const log = await Deno.readTextFile(`${world.workspace.dir}/log`);
  assert(!log.includes("wrong-passw0rd"), log);
});

hosts("password: with nobody to ask, the error says so at once", async () => {
  await using world = await makeWorld(SECRET);
  const env = { ...world.env, SSH_ASKPASS_REQUIRE: "never" };
  const { code, stderr } = await world.detached([
    "exec",
    "-F",
    world.workspace.config,
    "target",
    "true",
  ], env);
  assertEquals(code, 255);
  assertMatch(stderr, /^holdfast: Cannot (log in|authenticate)/);
  assertEquals(await world.asked(), []);
});

hosts(
  "password: SSH_ASKPASS stands in for a missing terminal where there is a display",
  async () => {
    await using world = await makeWorld(SECRET);
    const args = ["exec", "-F", world.workspace.config, "target", "true"];
    const env = { SSH_ASKPASS: world.env.SSH_ASKPASS, DISPLAY: ":99" };
    assertEquals(await world.detached(args, env), { code: 0, stderr: "" });
    assertEquals((await world.asked()).length, 1);
  },
);

for (const pam of [false, true]) {
  hosts(`password: an expired one is named, ${pam ? "with" : "without"} PAM`, async () => {
    await using world = await makeWorld(SECRET, [], { pam });
    const { workspace, env, account } = world;
    const args = ["-d", "0", account.name];
    assert((await new Deno.Command("chage", { args }).output()).success);
    const file = workspace.join("file");
    const calls: [string, ...string[]][] = [
      ["exec", "target", "echo ran"],
      ["put", "target", workspace.config, "file"],
      ["fetch", "target", "/etc/passwd", file],
      ["client", "target"],
    ];
    for (const [subcommand, ...args] of pam ? calls.slice(0, 1) : calls) { // PAM is slow to refuse
      const options = { env, stdin: "EXEC: echo ran\n" };
      const { code, stdout, stderr } = await workspace.run(subcommand, args, options);
      assertEquals([code, stdout], [255, ""], subcommand);
      // The server's own words may come before.
      assertMatch(stderr, /^holdfast: Cannot run anything as .*: the password has expired$/m);
    }
  });
}

hosts(
  "password: a daemon killed while it is asked for ends the call and the question",
  async () => {
    await using world = await makeWorld("");
    const { workspace, env } = world;
    const script = `#!/bin/sh\nprintf '%s\\n' "$1" >> ${
      workspace.join("asked")
    }\nexec sleep 1000\n`;
    await Deno.writeTextFile(env.SSH_ASKPASS, script);
    const { stdout } = await workspace.run("daemon");
    const daemon = readProcess(Number(/pid (\d+)/.exec(stdout)![1]))!;
    const calling = workspace.run("exec", ["target", "true"], { env });
    const asking = () => workspace.processes().filter(({ command }) => command === "sleep 1000");
    const none = { ...daemon, pid: 0 };
    assertEquals(await waitUntilGone(() => asking().length > 0 ? [] : [none]), []);
    await killProcesses([daemon]);
    const { code, stderr } = await calling;
    assertEquals(code, 255);
    assertMatch(stderr, /^holdfast: .*the daemon went away.*\n$/);
    assertEquals(await waitUntilGone(asking), []);
  },
);

hosts("host key: asked about once, and remembered when it was accepted", async () => {
  await using world = await makeWorld("yes", ["StrictHostKeyChecking ask"]);
  const { workspace, env } = world;
  await Deno.writeTextFile(workspace.knownHosts, "");
  const { code } = await workspace.run("exec", ["target", "true"], { env });
  assertEquals(code, 255); // "yes" is no password
  const asked = await world.asked();
  assertMatch(asked.join(" "), /fingerprint/);
  assertMatch(await Deno.readTextFile(workspace.knownHosts), /ssh-ed25519/);
  await workspace.run("exec", ["target", "true"], { env });
  const later = (await world.asked()).slice(asked.length);
  assertEquals(later.filter((line) => line.includes("fingerprint")), []);
});

async function makeWorld(answer: string, more: string[] = [], server: SshdOptions = {}) {
  await using stack = new AsyncDisposableStack();
  const sshd = stack.use(await startSshd({ passwordAuthentication: true, ...server }));
  const options = { runtimes: ["deno" as const], password: SECRET, authorizedKeys: [] };
  const account = stack.use(await createAccount(options));
  const workspace = stack.use(await Workspace.create());
  const config = ["PubkeyAuthentication no", "NumberOfPasswordPrompts 1", ...more];
  await workspace.addHost("target", {
    user: account.name,
    port: sshd.port,
    identity: null,
    config,
  });
  await workspace.trust(sshd);
  const answerFile = workspace.join("answer");
  const askpass = workspace.join("askpass");
  const log = workspace.join("asked");
  await Deno.writeTextFile(answerFile, `${answer}\n`, { mode: 0o600 });
  const script = `#!/bin/sh\nprintf '%s\\n' "$1" >> ${log}\ncat ${answerFile}\n`;
  await Deno.writeTextFile(askpass, script, { mode: 0o700 });
  const owned = stack.move();
  return {
    workspace,
    account,
    env: { SSH_ASKPASS: askpass, SSH_ASKPASS_REQUIRE: "force" },
    /** Prompts that were shown so far. */
    async asked(): Promise<string[]> {
      const text = await Deno.readTextFile(log).catch(() => "");
      return text.split("\n").filter((line) => line !== "");
    },
    /** Runs the product without a controlling terminal. */
    async detached(args: string[], env: Record<string, string>) {
      const program = programWords({ home: workspace.home });
      const { code, stderr } = await new Deno.Command("setsid", {
        args: ["-w", ...program, ...args],
        env: { ...await workspace.env(), ...env },
        clearEnv: true,
        stdin: "null",
      }).output();
      return { code, stderr: new TextDecoder().decode(stderr) };
    },
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}
