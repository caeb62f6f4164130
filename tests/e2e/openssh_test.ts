/** Targets over the system's ssh, as a user meets them: chosen or asked for, one login, questions, and no remains. */
import { assert, assertEquals, assertMatch, assertStringIncludes } from "../support/assert.ts";
import { type AccountOptions, createAccount } from "../support/accounts.ts";
import { Authority } from "../support/certificates.ts";
import { type HostOptions, Workspace } from "../support/holdfast.ts";
import { createIdentity } from "../support/identity.ts";
import {
  killProcesses,
  processesCarrying,
  readProcess,
  waitUntilGone,
} from "../support/processes.ts";
import { linkPrograms } from "../support/program.ts";
import { type SshdOptions, startSshd } from "../support/sshd.ts";
import { test } from "../support/test.ts";

const SECRET = "s3cret-Tr0ub4dor";
const hosts = test.needs("sshd", "ssh", "namespaces");

interface WorldOptions {
  sshd?: SshdOptions;
  account?: AccountOptions;
  host?: Partial<HostOptions>;
}

async function makeWorld({ sshd: server, account: who, host }: WorldOptions = {}) {
  await using stack = new AsyncDisposableStack();
  const sshd = stack.use(await startSshd(server));
  const account = stack.use(await createAccount({ runtimes: ["deno"], ...who }));
  const workspace = stack.use(await Workspace.create());
  await workspace.addHost("target", { user: account.name, port: sshd.port, ...host });
  await workspace.trust(sshd);
  const owned = stack.move();
  return {
    sshd,
    account,
    workspace,
    log: () => Deno.readTextFile(`${workspace.dir}/log`),
    /** OpenSSH's client and what keeps it, by the control socket in their words. */
    clients: () =>
      processesCarrying(`${workspace.dir}/m`).filter(({ command }) => command.includes("/ssh ")),
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

hosts("openssh: exec, put, fetch, relay and status over one login", async () => {
  await using world = await makeWorld();
  const { workspace, account, sshd } = world;
  const exec = await workspace.run("exec", ["openssh=target", "id -un; cat; exit 5"], {
    stdin: "input",
  });
  assertEquals([exec.code, exec.stdout, exec.stderr], [5, `${account.name}\ninput`, ""]);
  const content = crypto.getRandomValues(new Uint8Array(65_000));
  const big = new Uint8Array(3_000_000).map((_, index) => content[index % content.length]);
  await Deno.writeFile(workspace.join("big"), big, { mode: 0o640 });
  const put = await workspace.run("put", ["openssh=target", workspace.join("big"), "big"]);
  assertEquals([put.code, put.stderr], [0, ""]);
  assertEquals(await Deno.readFile(`${account.home}/big`), big);
  const fetch = await workspace.run("fetch", ["openssh=target", "big", workspace.join("back")]);
  assertEquals([fetch.code, fetch.stderr], [0, ""]);
  assertEquals(await Deno.readFile(workspace.join("back")), big);
  const relay = await workspace.run("client", ["--json", "openssh=target"], {
    stdin: "EXEC: echo relayed\n",
  });
  assertEquals(JSON.parse(relay.stdout).stdout, "relayed\n");
  const many = await Promise.all(
    ["1", "2", "3"].map((word) => workspace.run("exec", ["openssh=target", `echo ${word}`])),
  );
  assertEquals(many.map(({ stdout }) => stdout), ["1\n", "2\n", "3\n"]);
  const tty = await workspace.run("exec", ["-tt", "openssh=target", "tty"]);
  assertMatch(tty.stdout, /^\/dev\/pts\/\d+\r\n$/);
  const status = JSON.parse((await workspace.run("status", ["--json"])).stdout);
  assertEquals(
    status.connections.map(({ target, state }: Record<string, string>) => [target, state]),
    [["openssh=target", "ready"]],
  );
  assertEquals(await sshd.logins(), 1);
});

hosts("openssh: a target without a runtime is served over the same login", async () => {
  await using world = await makeWorld({ account: { runtimes: [] } });
  const { workspace, account, sshd } = world;
  for (const word of ["a", "b"]) {
    const { code, stdout } = await workspace.run("exec", ["--openssh", "target", `echo ${word}`]);
    assertEquals([code, stdout], [0, `${word}\n`]);
  }
  await Deno.writeTextFile(workspace.join("file"), "content");
  await workspace.run("put", ["--openssh", "target", workspace.join("file"), "there"]);
  assertEquals(await Deno.readTextFile(`${account.home}/there`), "content");
  await workspace.run("fetch", ["--openssh", "target", "there", workspace.join("back")]);
  assertEquals(await Deno.readTextFile(workspace.join("back")), "content");
  assertEquals(await sshd.logins(), 1);
  assertMatch(await world.log(), / target: by OpenSSH's client: asked for\n/);
});

hosts("openssh: chosen for a certificate, and the log says why", async () => {
  const authority = await Authority.create();
  const key = await createIdentity();
  await using world = await makeWorld({
    sshd: { config: [`TrustedUserCAKeys ${authority.publicKeyFile}`], authorizedKeys: [] },
    account: { authorizedKeys: [] },
    host: { identity: key },
  });
  const { workspace, account, sshd } = world;
  await authority.sign(key, { principals: [account.name] });
  const { code, stdout, stderr } = await workspace.run("exec", ["target", "id -un"]);
  assertEquals([code, stdout, stderr], [0, `${account.name}\n`, ""]);
  assertMatch(await world.log(), / target: by OpenSSH's client: \S+-cert\.pub: ssh2 cannot use/);
  assertMatch(await sshd.log(), /^Accepted publickey .*-CERT /m);
});

hosts("openssh: without ssh the error names the reason", async () => {
  const key = await createIdentity();
  const authority = await Authority.create();
  await using world = await makeWorld({ host: { identity: key } });
  const { workspace, account } = world;
  await authority.sign(key, { principals: [account.name] });
  const env = { PATH: linkPrograms(workspace.join("bin"), { without: ["ssh"] }) };
  const chosen = await workspace.run("exec", ["target", "true"], { env });
  assertEquals(chosen.code, 255);
  assertMatch(chosen.stderr, /^holdfast: Cannot authenticate as .*\nInstall OpenSSH.*-cert\.pub/);
  const forced = await workspace.run("exec", ["openssh=target", "true"], { env });
  assertEquals(forced.code, 2);
  assertMatch(
    forced.stderr,
    /^holdfast: Cannot connect to openssh=target .*ssh is not in your PATH/,
  );
});

hosts("openssh: behind another hop, and with another behind it", async () => {
  await using world = await makeWorld();
  const { workspace, account } = world;
  for (const target of ["target,openssh=target", "openssh=target,local,openssh=target,local"]) {
    const { code, stdout, stderr } = await workspace.run("exec", [target, "id -un"]);
    assertEquals([code, stdout, stderr], [0, `${account.name}\n`, ""], target);
  }
  assertEquals(remains(workspace.dir).filter((name) => /[io]$/.test(name)), []);
});

hosts("openssh: a password is asked by the client, once, and found nowhere", async () => {
  await using world = await makeWorld({
    sshd: { passwordAuthentication: true },
    account: { password: SECRET, authorizedKeys: [] },
    host: { identity: null, config: ["PubkeyAuthentication no", "NumberOfPasswordPrompts 1"] },
  });
  const { workspace } = world;
  const asked = await askpass(workspace, SECRET);
  const outcomes = await Promise.all(
    ["1", "2"].map((word) =>
      workspace.run("exec", ["openssh=target", `echo ${word}`], { env: asked.env })
    ),
  );
  assertEquals(outcomes.map(({ stdout, stderr }) => stdout + stderr), ["1\n", "2\n"]);
  assertEquals(await asked.prompts(), [`${world.account.name}@127.0.0.1's password: `]);
  const running = [...workspace.processes(), ...world.clients()];
  assert(running.length >= 3);
  for (const { pid } of running) {
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

hosts("openssh: a wrong password, and nobody to ask", async () => {
  await using world = await makeWorld({
    sshd: { passwordAuthentication: true },
    account: { password: SECRET, authorizedKeys: [] },
    host: { identity: null, config: ["PubkeyAuthentication no", "NumberOfPasswordPrompts 1"] },
  });
  const { workspace } = world;
  const asked = await askpass(workspace, "wrong-passw0rd");
  const wrong = await workspace.run("exec", ["openssh=target", "true"], { env: asked.env });
  assertEquals([wrong.code, wrong.stdout], [255, ""]);
  assertMatch(wrong.stderr, /^holdfast: Cannot authenticate as .*Permission denied \(.*\n.*\n$/);
  assert(!`${wrong.stderr}${await world.log()}`.includes("wrong-passw0rd"));
  assertEquals((await asked.prompts()).length, 1);
  const env = { SSH_ASKPASS_REQUIRE: "never" };
  const nobody = await workspace.run("exec", ["-o", "BatchMode=yes", "openssh=target", "true"], {
    env,
  });
  assertEquals(nobody.code, 255);
  assertMatch(nobody.stderr, /^holdfast: Cannot authenticate as /);
  assertEquals(world.clients(), []);
});

hosts("openssh: a host key is asked about, and remembered when it was accepted", async () => {
  await using world = await makeWorld({ host: { config: ["StrictHostKeyChecking ask"] } });
  const { workspace } = world;
  await Deno.writeTextFile(workspace.knownHosts, "");
  const no = await askpass(workspace, "no");
  const refused = await workspace.run("exec", ["openssh=target", "true"], { env: no.env });
  assertEquals(refused.code, 255);
  assertMatch(refused.stderr, /^holdfast: Cannot trust .*Host key verification failed/);
  const yes = await askpass(workspace, "yes");
  const accepted = await workspace.run("exec", ["openssh=target", "true"], { env: yes.env });
  assertEquals([accepted.code, accepted.stderr], [0, ""]);
  assertStringIncludes((await yes.prompts()).join("\n"), "fingerprint");
  assertMatch(await Deno.readTextFile(workspace.knownHosts), /ssh-ed25519/);
});

hosts("openssh: a client that is killed is replaced by the next call", async () => {
  await using world = await makeWorld();
  const { workspace } = world;
  await workspace.run("exec", ["openssh=target", "true"]);
  await using waiting = await workspace.spawn("exec", ["openssh=target", "echo up; exec sleep 60"]);
  const reader = waiting.stdout.getReader();
  assertEquals(new TextDecoder().decode((await reader.read()).value), "up\n");
  await killProcesses(world.clients().filter(({ command }) => !command.startsWith("/bin/sh")));
  assertEquals((await waiting.status).code, 255);
  assertMatch(await new Response(waiting.stderr).text(), /^holdfast: /);
  assertEquals((await reader.read()).done, true);
  await waiting.stdin.close().catch(() => {});
  const { code, stdout } = await workspace.run("exec", ["openssh=target", "echo back"]);
  assertEquals([code, stdout], [0, "back\n"]);
});

hosts("openssh: nothing is left after stop", async () => {
  await using world = await makeWorld();
  const { workspace } = world;
  await workspace.run("exec", ["target,openssh=target", "true"]);
  assert(world.clients().length > 0);
  await workspace.run("stop");
  assertEquals(await waitUntilGone(world.clients, { deadline: 10_000 }), []);
  assertEquals(remains(workspace.dir), []);
});

hosts("openssh: nothing is left after the daemon was killed with -9", async () => {
  await using world = await makeWorld({ account: { runtimes: [], mayLeaveProcesses: true } });
  const { workspace } = world;
  await using waiting = await workspace.spawn("exec", ["openssh=target", "echo up; exec sleep 60"]);
  const reader = waiting.stdout.getReader();
  assertEquals(new TextDecoder().decode((await reader.read()).value), "up\n");
  const { pid } = JSON.parse((await workspace.run("status", ["--json"])).stdout);
  await killProcesses([readProcess(pid)!]);
  assertEquals(await waitUntilGone(world.clients, { deadline: 10_000 }), []);
  assertEquals(remains(workspace.dir), []);
  assertEquals((await waiting.status).code, 255);
  await waiting.stderr.cancel();
  await reader.cancel();
  await waiting.stdin.close().catch(() => {});
});

/** What connections over OpenSSH make in the runtime directory. */
function remains(dir: string): string[] {
  return [...Deno.readDirSync(dir)].map(({ name }) => name).filter((name) => /^m/.test(name));
}

/** A user's askpass program that gives always the same answer. */
async function askpass(workspace: Workspace, answer: string) {
  const path = workspace.join(`askpass-${crypto.randomUUID()}`);
  await Deno.writeTextFile(`${path}-answer`, `${answer}\n`, { mode: 0o600 });
  const script = `#!/bin/sh\nprintf '%s\\0' "$1" >>${path}-log\ncat ${path}-answer\n`;
  await Deno.writeTextFile(path, script, { mode: 0o700 });
  return {
    env: { SSH_ASKPASS: path, SSH_ASKPASS_REQUIRE: "force" },
    /** Those that were shown so far. */
    async prompts(): Promise<string[]> {
      const text = await Deno.readTextFile(`${path}-log`).catch(() => "");
      return text.split("\0").slice(0, -1);
    },
  };
}
