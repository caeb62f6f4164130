/** Hosts reached by the system's ssh, on a real sshd: one login for everything, certificates, and every refusal. */

import type { Child } from "../../lib/core/host.ts";
import type { Ask } from "../../lib/master/ask.ts";
import { opensshEndpoint, type OpensshOptions } from "../../lib/master/openssh_endpoint.ts";
import { opensshReason } from "../../lib/master/openssh_reason.ts";
import type { SshSettings } from "../../lib/master/ssh_settings.ts";
import type { Endpoint } from "../../lib/master/endpoint.ts";
import { assert, assertEquals, assertMatch } from "../support/assert.ts";
import { Authority } from "../support/certificates.ts";
import { createIdentity } from "../support/identity.ts";
import { killProcesses, processesCarrying, waitUntilGone } from "../support/processes.ts";
import { findExecutable } from "../support/tools.ts";
import { failure, never, sshTest, startWorld, text, type World } from "./ssh_fixture.ts";

/** An endpoint of `world`, and proof at its disposal that nothing of it is left. */
async function connect(
  world: World,
  settings: SshSettings,
  more: Partial<OpensshOptions> = {},
): Promise<Endpoint & AsyncDisposable> {
  const directory = world.dir.join("run");
  await Deno.mkdir(directory, { recursive: true, mode: 0o700 });
  const gone = async () => {
    assertEquals(await waitUntilGone(() => processesCarrying(directory)), []);
    await untilEmpty(directory);
  };
  const endpoint = await opensshEndpoint(settings, {
    program: findExecutable("ssh")!,
    directory,
    ask: never,
    askpass: async () => ({ env: { SSH_ASKPASS: "false" }, close() {} }),
    ...more,
  }).catch(async (error) => {
    await gone();
    throw error;
  });
  return {
    ...endpoint,
    async [Symbol.asyncDispose]() {
      endpoint.close();
      await endpoint.closed;
      await gone();
    },
  };
}

/** A socket whose owner was killed goes a moment after it. */
async function untilEmpty(directory: string): Promise<void> {
  const watcher = Deno.watchFs(directory); // before the first look, so nothing is missed
  let open = true;
  const close = () => {
    if (open) watcher.close();
    open = false;
  };
  const timer = setTimeout(close, 5000);
  try {
    if ([...Deno.readDirSync(directory)].length === 0) return;
    for await (const _ of watcher) if ([...Deno.readDirSync(directory)].length === 0) return;
    assertEquals([...Deno.readDirSync(directory)].map(({ name }) => name), []);
  } finally {
    clearTimeout(timer);
    close();
  }
}

async function outcome(child: Child) {
  await child.stdin.close();
  const [stdout, stderr] = await Promise.all([text(child.stdout), text(child.stderr)]);
  const { code, signal } = await child.exit;
  return { stdout, stderr, end: code ?? signal };
}

sshTest("openssh: commands, files, a terminal and dials share one login", async () => {
  await using world = await startWorld();
  await using endpoint = await connect(world, await world.settings());
  const { host } = endpoint;
  const run = async (command: string) => await outcome(await host.spawn({ command }));
  assertEquals(await run("id -un; echo no >&2; exit 3"), {
    stdout: `${world.account.name}\n`,
    stderr: "no\n",
    end: 3,
  });
  assertEquals((await run("kill -TERM $$")).end, "SIGTERM");
  const many = await Promise.all(["a", "b", "c", "d"].map((word) => run(`echo ${word}`)));
  assertEquals(many.map(({ stdout }) => stdout), ["a\n", "b\n", "c\n", "d\n"]);
  const big = await host.spawn({ command: "head -c 5000000 /dev/zero | tee /dev/stderr" });
  assertEquals((await outcome(big)).stdout.length, 5_000_000);

  const terminal = { term: "xterm", columns: 99, rows: 33 };
  const tty = await host.spawn({ command: "stty size", terminal });
  assertEquals((await outcome(tty)).stdout, "33 99\r\n");

  await Deno.writeTextFile(`${world.account.home}/file`, "content");
  assertEquals((await host.stat("file")).size, 7);
  assertEquals((await failure(host.stat("missing"))).kind, "not_found");

  const dialled = await endpoint.dial!("127.0.0.1", world.sshd.port);
  assertMatch(new TextDecoder().decode((await dialled.read())!), /^SSH-2.0-/);
  dialled.close();
  const refused = await failure(endpoint.dial!("127.0.0.1", 1));
  assertEquals(refused.kind, "connect");
  assertEquals(await world.sshd.logins(), 1);
});

sshTest("openssh: a signal reaches a command's whole group", async () => {
  await using world = await startWorld();
  await using endpoint = await connect(world, await world.settings());
  const child = await endpoint.host.spawn({ command: "echo up; sleep 60; echo over" });
  assertMatch(new TextDecoder().decode((await child.stdout.read())!), /up/);
  child.kill("SIGTERM");
  const { stdout, end } = await outcome(child);
  assertEquals([stdout, end], ["", "SIGTERM"]);
});

sshTest("openssh: sessions over the server's limit wait for their turn", async () => {
  await using world = await startWorld({ sshd: { maxSessions: 2 } });
  await using endpoint = await connect(world, await world.settings());
  const words = Array.from({ length: 8 }, (_, index) => `${index}\n`);
  const said = await Promise.all(
    words.map(async (word) =>
      (await outcome(await endpoint.host.spawn({ command: `echo ${word.trim()}` }))).stdout
    ),
  );
  assertEquals(said, words);
});

sshTest("openssh: a user's certificate, beside the key or named", async () => {
  const authority = await Authority.create();
  await using world = await startWorld({
    sshd: { config: [`TrustedUserCAKeys ${authority.publicKeyFile}`], authorizedKeys: [] },
    account: { authorizedKeys: [] },
  });
  const key = await createIdentity();
  const offer = { identityFiles: [key.path], options: ["IdentitiesOnly=yes"] };
  const bare = await world.settings(offer);
  assertEquals(await opensshReason(bare), null);
  assertEquals((await failure(connect(world, bare))).kind, "auth");

  const certificate = await authority.sign(key, { principals: [world.account.name] });
  assertMatch(await opensshReason(bare) ?? "", /-cert\.pub: ssh2 cannot use certificates/);
  {
    await using endpoint = await connect(world, bare);
    const { stdout } = await outcome(await endpoint.host.spawn({ command: "id -un" }));
    assertEquals(stdout, `${world.account.name}\n`);
  }
  await Deno.rename(certificate, world.dir.join("elsewhere.pub"));
  const named = await world.settings({
    ...offer,
    options: [...offer.options, `CertificateFile=${world.dir.join("elsewhere.pub")}`],
  });
  assertMatch(await opensshReason(named) ?? "", /^CertificateFile/);
  {
    await using _endpoint = await connect(world, named);
  }
  assertEquals((await world.sshd.log()).match(/^Accepted publickey .*-CERT /gm)?.length, 2);

  const expired = { principals: [world.account.name], validity: "20200101:20200102" };
  await authority.sign(key, expired);
  assertEquals((await failure(connect(world, bare))).kind, "auth");
});

sshTest("openssh: a host's certificate stands for its key", async () => {
  const authority = await Authority.create();
  const hostKey = await createIdentity();
  const certificate = await authority.sign(hostKey, { principals: ["127.0.0.1"], host: true });
  await using world = await startWorld({
    sshd: {
      hostKeyTypes: ["ecdsa"],
      config: [`HostKey ${hostKey.path}`, `HostCertificate ${certificate}`],
    },
    trust: false,
  });
  const settings = await world.settings();
  const [type, key] = authority.publicKey.split(" ");
  assertEquals(await opensshReason(settings), null);
  assertEquals((await failure(connect(world, settings))).kind, "host_key");

  const trust = (names: string) =>
    Deno.writeTextFile(world.knownHosts, `@cert-authority ${names} ${type} ${key}\n`);
  await trust(`[127.0.0.1]:${world.sshd.port}`);
  assertMatch(await opensshReason(settings) ?? "", /^@cert-authority in .*known_hosts:1: /);
  {
    await using _endpoint = await connect(world, settings);
  }
  await trust("*.example.com");
  assertEquals(await opensshReason(settings), null);
  await trust("127.0.0.*");
  await authority.sign(hostKey, { principals: ["another.example.com"], host: true });
  const { kind } = await failure(connect(world, settings));
  assertEquals([await opensshReason(settings) !== null, kind], [true, "host_key"]);
});

sshTest("openssh: every refusal has its kind and ssh's word, and leaves nothing", async () => {
  await using world = await startWorld();
  const other = await createIdentity();
  const [type, key] = other.publicKey.split(" ");
  const wrongHosts = world.dir.join("wrong_hosts");
  await Deno.writeTextFile(wrongHosts, `[127.0.0.1]:${world.sshd.port} ${type} ${key}\n`);
  const silent = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const before = await world.settings();
  const refusals: [SshSettings, kind: string, message: RegExp][] = [
    [
      await world.settings({ identityFiles: [other.path], options: ["IdentitiesOnly=yes"] }),
      "auth",
      /^Cannot authenticate as \S+@127\.0\.0\.1:\d+: .*Permission denied \(publickey\)/,
    ],
    [
      await withFirst(world, "UserKnownHostsFile=/dev/null"),
      "host_key",
      /^Cannot trust .*Host key verification failed/,
    ],
    [
      await withFirst(world, `UserKnownHostsFile=${wrongHosts}`, "StrictHostKeyChecking=yes"),
      "host_key",
      /^Cannot trust .* has changed .*; Offending ED25519 key in \S+:1\n.*ssh-keygen -f/,
    ],
    [await world.settings({ port: 1 }), "connect", /^Cannot connect to .* Connection refused\n/],
    [
      await world.settings({ host: "nosuch.invalid" }),
      "resolve",
      /^Cannot resolve .*Could not resolve hostname/,
    ],
    [
      await world.settings({ port: silent.addr.port, options: ["ConnectTimeout=1"] }),
      "timeout",
      /^Cannot connect to .* timed out/,
    ],
    [
      await world.settings({ options: ["ProxyCommand=sh -c 'echo gone away >&2'"] }),
      "connect",
      /^Cannot connect to .*: gone away\n/,
    ],
    [
      await world.settings({ options: ["Ciphers=aes128-cbc"] }),
      "kex",
      /^Cannot exchange keys .*no matching cipher/,
    ],
  ];
  for (const [settings, kind, message] of refusals) {
    const error = await failure(connect(world, settings));
    assertEquals(error.kind, kind, error.message);
    assertMatch(error.message, message);
  }
  silent.close();
  await using _endpoint = await connect(world, before);
});

/** Settings whose options come before those of the world. */
async function withFirst(world: World, ...options: string[]): Promise<SshSettings> {
  const settings = await world.settings();
  const { request } = settings;
  const all = [...options, ...request.options.options ?? []];
  return { ...settings, request: { ...request, options: { ...request.options, options: all } } };
}

sshTest("openssh: an attempt that is given up leaves nothing", async () => {
  await using world = await startWorld();
  using silent = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const controller = new AbortController();
  const settings = await world.settings({ port: silent.addr.port });
  const attempt = connect(world, settings, { signal: controller.signal });
  using _conn = await silent.accept();
  controller.abort();
  assertEquals((await failure(attempt)).kind, "cancelled");
});

sshTest("openssh: a master that is killed is a lost connection", async () => {
  await using world = await startWorld();
  const directory = world.dir.join("run");
  await using endpoint = await connect(world, await world.settings());
  const child = await endpoint.host.spawn({ command: "cat" });
  await killProcesses(
    processesCarrying(directory).filter(({ command }) => /^\S*ssh /.test(command)),
  );
  assertEquals((await endpoint.closed).kind, "disconnected");
  assertEquals((await failure(child.exit)).kind, "disconnected");
  assertEquals((await failure(endpoint.host.spawn({ command: "true" }))).kind, "disconnected");
});

sshTest("openssh: the user's own master is neither used nor hurt", async () => {
  await using world = await startWorld();
  const own = world.dir.join("own");
  const options = ["ControlMaster=auto", `ControlPath=${own}`, "ControlPersist=60"];
  const settings = await world.settings({ options: [...options, "LocalCommand=false"] });
  {
    await using _endpoint = await connect(world, settings);
  }
  assertEquals(await Deno.stat(own).catch(() => null), null);
  {
    const config = world.dir.join("config");
    const lines = [
      ...options,
      "Host gate1 gate2",
      "HostName=127.0.0.1",
      `Port=${world.sshd.port}`,
      `User=${world.account.name}`,
      `UserKnownHostsFile=${world.knownHosts}`,
      `IdentityFile=${settings.identityFiles[0]}`,
    ];
    await Deno.writeTextFile(config, lines.join("\n"));
    const through = await world.settings({ configFile: config, jump: "gate1,gate2" });
    await using endpoint = await connect(world, through);
    const { stdout } = await outcome(await endpoint.host.spawn({ command: "echo through" }));
    assertEquals(stdout, "through\n");
  }
  assertEquals(await Deno.stat(own).catch(() => null), null);
  assertEquals(await world.sshd.logins(), 4);
});

sshTest("openssh: through another connection, whose pipes are gone at once", async () => {
  await using world = await startWorld();
  const gate = await world.connect();
  try {
    await using endpoint = await connect(world, await world.settings(), { via: gate });
    const entries = [...Deno.readDirSync(world.dir.join("run"))].map(({ name }) => name);
    assertEquals(entries.filter((name) => !/^m[0-9a-f]{8}$/.test(name)), []);
    const big = await endpoint.host.spawn({ command: "head -c 3000000 /dev/zero" });
    assertEquals((await outcome(big)).stdout.length, 3_000_000);
  } finally {
    gate.close();
    await gate.closed;
  }
});

sshTest("openssh: ssh that never opens the pipes is given up with them", async () => {
  await using world = await startWorld();
  const gate = await world.connect();
  try {
    const settings = await withFirst(world, "IdentityFile=%Z");
    assert((await failure(connect(world, settings, { via: gate }))).message.length > 0);
  } finally {
    gate.close();
    await gate.closed;
  }
});

sshTest(
  "openssh: a question is put to the person, and a known password answers first",
  async () => {
    await using world = await startWorld({
      sshd: { passwordAuthentication: true },
      account: { password: "s3cret", authorizedKeys: [] },
    });
    const questions: string[] = [];
    const ask: Ask = async ({ prompt }) => {
      questions.push(prompt);
      return "s3cret";
    };
    const settings = { ...await world.settings({ options: ["PubkeyAuthentication=no"] }) };
    {
      await using _endpoint = await connect(world, settings, { ask, askpass: lendBy(world) });
    }
    assertEquals(questions, [`${world.account.name}@127.0.0.1's password: `]);
    {
      const known = { ...settings, password: "s3cret" };
      await using _endpoint = await connect(world, known, { ask, askpass: lendBy(world) });
    }
    assertEquals(questions.length, 1);
    const wrong = { ...settings, password: "wr0ng" };
    const deny: Ask = async () => null;
    const error = await failure(connect(world, wrong, { ask: deny, askpass: lendBy(world) }));
    assertEquals(error.kind, "auth");
    assert(!error.message.includes("wr0ng"), error.message);
  },
);

/** An askpass program over two pipes with names. */
function lendBy(world: World): OpensshOptions["askpass"] {
  return async (answer) => {
    const path = world.dir.join(`askpass-${crypto.randomUUID()}`);
    const [question, reply] = [`${path}-q`, `${path}-r`];
    await new Deno.Command("mkfifo", { args: [question, reply] }).output();
    // Both ends, so that nothing waits for the other side to open.
    const asked = await Deno.open(question, { read: true, write: true });
    const replies = await Deno.open(reply, { read: true, write: true });
    const script = `#!/bin/sh\nprintf '%s' "$1" >${question}\nread -r a <${reply}\n` +
      `[ "$a" != - ] && printf '%s\\n' "$a"\n`;
    await Deno.writeTextFile(path, script, { mode: 0o700 });
    void (async () => {
      const buffer = new Uint8Array(1024);
      for (let size = await asked.read(buffer); size; size = await asked.read(buffer)) {
        const prompt = new TextDecoder().decode(buffer.subarray(0, size));
        if (prompt === "end") break;
        const given = await answer({ prompt, hint: null }, new AbortController().signal);
        await replies.write(new TextEncoder().encode(`${given ?? "-"}\n`));
      }
      asked.close();
      replies.close();
    })();
    let closed = false;
    return {
      env: { SSH_ASKPASS: path, SSH_ASKPASS_REQUIRE: "force" },
      close() {
        if (!closed) Deno.writeTextFileSync(question, "end");
        closed = true;
      },
    };
  };
}
