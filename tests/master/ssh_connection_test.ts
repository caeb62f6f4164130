import { tempDir } from "../support/temp.ts";
import { PHASE_DEADLINES } from "../../lib/master/ssh_connection.ts";
import { assert, assertEquals, assertMatch, assertStringIncludes } from "../support/assert.ts";
import { startDelayProxy } from "../support/delay_proxy.ts";
import { closing, failure, run, sshTest, startWorld, text } from "./ssh_fixture.ts";

sshTest("ssh connection: runs commands with their streams and status apart", async () => {
  await using world = await startWorld();
  const connection = await world.connect();
  assertEquals(connection.description, `${world.account.name}@127.0.0.1:${world.sshd.port}`);
  const result = await run(connection, "echo out; echo err >&2; exit 7");
  assertEquals(result, { stdout: "out\n", stderr: "err\n", exit: { code: 7, signal: null } });
  const child = await connection.exec("cat");
  await child.stdin.write(new TextEncoder().encode("über"));
  await child.stdin.close();
  assertEquals(await text(child.stdout), "über");
  assertEquals(await world.sshd.logins(), 1);
  await closing(connection);
  connection.close();
  assertEquals(await connection.closed, null);
  assertEquals((await failure(connection.exec("true"))).kind, "disconnected");
});

sshTest("ssh connection: a megabyte flows through cat both ways", async () => {
  await using world = await startWorld();
  const connection = await world.connect();
  const child = await connection.exec("cat | sha256sum; head -c 9000000 /dev/zero");
  const block = new Uint8Array(65536).fill(120);
  for (let i = 0; i < 100; i++) await child.stdin.write(block);
  await child.stdin.close();
  const output = await text(child.stdout);
  assertEquals(output.length, 9000000 + 68);
  assertEquals((await child.exit).code, 0);
  await closing(connection);
});

sshTest("ssh connection: a command that does not read holds the writer back", async () => {
  await using world = await startWorld();
  const connection = await world.connect();
  const child = await connection.exec("sleep 1000");
  const block = new Uint8Array(65536);
  let written = 0;
  const writing = (async () => {
    for (; written < 1000; written++) await child.stdin.write(block);
  })();
  // The window is 2 MiB: other commands pass while this writer is stuck.
  for (let i = 0; i < 5; i++) assertEquals((await run(connection, "echo x")).stdout, "x\n");
  assert(written < 100, `wrote ${written} blocks`);
  child.kill("SIGTERM");
  assertEquals(await child.exit, { code: null, signal: "SIGTERM" });
  assertEquals((await failure(writing)).kind, "io");
  await closing(connection);
});

sshTest("ssh connection: stopping to read loses nothing and blocks nobody", async () => {
  await using world = await startWorld();
  const connection = await world.connect();
  const child = await connection.exec("head -c 20000000 /dev/zero; echo end >&2");
  assertEquals((await run(connection, "echo x")).stdout, "x\n");
  assertEquals((await text(child.stdout)).length, 20000000);
  assertEquals(await text(child.stderr), "end\n");
  const other = await connection.exec("head -c 20000000 /dev/zero");
  other.stdout.cancel();
  assertEquals(await other.stdout.read(), null);
  assertEquals((await other.exit).code, 0);
  await closing(connection);
});

sshTest("ssh connection: a terminal has a kind and a size that changes", async () => {
  await using world = await startWorld();
  const connection = await world.connect();
  const terminal = { term: "xterm-256color", columns: 91, rows: 17 };
  const child = await connection.exec("echo $TERM; stty size; read x; stty size", { terminal });
  let seen = "";
  const decoder = new TextDecoder();
  while (!/17 91/.test(seen)) seen += decoder.decode((await child.stdout.read())!);
  child.resize({ columns: 100, rows: 30 });
  await child.stdin.write(new TextEncoder().encode("\n"));
  seen += await text(child.stdout);
  assertStringIncludes(seen, "xterm-256color");
  assertStringIncludes(seen, "30 100");
  await closing(connection);
});

sshTest("ssh connection: environment goes where the server takes it", async () => {
  await using world = await startWorld({ sshd: { config: ["AcceptEnv HF_*"] } });
  const connection = await world.connect({ setEnv: { HF_A: "1" } });
  const child = await connection.exec("echo $HF_A $HF_B", { env: { HF_B: "two" } });
  await child.stdin.close();
  assertEquals(await text(child.stdout), "1 two\n");
  await closing(connection);
});

sshTest("ssh connection: a session beyond MaxSessions is a limit", async () => {
  await using world = await startWorld({ sshd: { maxSessions: 1 } });
  const connection = await world.connect();
  const child = await connection.exec("cat");
  const error = await failure(connection.exec("true"));
  assertEquals(error.kind, "limit");
  assertStringIncludes(error.message, connection.description);
  await child.stdin.close();
  await child.exit;
  await closing(connection);
});

sshTest("ssh connection: SFTP works beside commands", async () => {
  await using world = await startWorld();
  const connection = await world.connect();
  const sftp = await connection.sftp();
  const path = await new Promise<string>((resolve, reject) =>
    sftp.realpath(".", (error, path) => error ? reject(error) : resolve(path))
  );
  assertEquals(path, world.account.home);
  sftp.end();
  await closing(connection);
});

sshTest("ssh connection: a server that dies fails what waits, and says so", async () => {
  await using world = await startWorld();
  const connection = await world.connect();
  const child = await connection.exec("sleep 1000");
  const waiting = failure(child.exit);
  await world.sshd.killConnections();
  assertEquals((await waiting).kind, "disconnected");
  assertEquals((await connection.closed)?.kind, "disconnected");
  assertEquals(await child.stdout.read(), null);
  assertEquals((await failure(connection.exec("true"))).kind, "disconnected");
});

sshTest("ssh connection: a peer that falls silent is found", async () => {
  await using world = await startWorld({ trust: false });
  await using proxy = startDelayProxy({ port: world.sshd.port });
  const connection = await world.connect({ port: proxy.port, strictHostKeyChecking: "no" });
  const child = await connection.exec("sleep 1000");
  proxy.freeze();
  const error = await failure(child.exit);
  assertEquals(error.kind, "disconnected");
  assertStringIncludes(error.message, "stopped answering");
  assertEquals((await connection.closed)?.kind, "disconnected");
});

sshTest("ssh connection: dial reaches another server through the host", async () => {
  await using world = await startWorld();
  const connection = await world.connect();
  const pipe = await connection.dial("127.0.0.1", world.sshd.port);
  const hello = new TextDecoder().decode((await pipe.read())!);
  assertMatch(hello, /^SSH-2\.0-/);
  pipe.close();
  const refused = await failure(connection.dial("127.0.0.1", 1));
  assertEquals(refused.kind, "connect");
  await closing(connection);
});

sshTest("ssh connection: via another connection, which stays open", async () => {
  await using world = await startWorld();
  const first = await world.connect();
  const second = await world.connect({}, { via: first });
  assertEquals((await run(second, "echo deep")).stdout, "deep\n");
  await closing(second);
  assertEquals((await run(first, "echo still")).stdout, "still\n");
  await closing(first);
});

sshTest("ssh connection: ProxyJump goes through each host and closes them", async () => {
  await using world = await startWorld();
  const { port } = world.sshd;
  const me = world.account.name;
  const config = world.dir.join("config");
  const settings = await world.settings();
  await Deno.writeTextFile(
    config,
    `Host *\n  User ${me}\n  Port ${port}\n  HostName 127.0.0.1\n  IdentityFile ${
      settings.identityFiles[0]
    }\n  UserKnownHostsFile ${world.knownHosts}\n`,
  );
  const target = await world.settings({ host: "target", configFile: config, jump: "one,two" });
  const connection = await world.connect(target);
  assertEquals((await run(connection, "echo deep")).stdout, "deep\n");
  assertEquals(await world.sshd.logins(), 3);
  await closing(connection);
  const log = await world.sshd.waitForLog(/(Disconnected from user[\s\S]*){3}/);
  assert(log !== null);
});

sshTest("ssh connection: jump hosts in a circle are an error", async () => {
  await using world = await startWorld();
  const config = world.dir.join("config");
  await Deno.writeTextFile(config, "Host *\n  ProxyJump bastion\n");
  const target = await world.settings({ host: "target", configFile: config });
  const error = await failure(world.connect(target));
  assertEquals(error.kind, "resolve");
  assertMatch(error.message, /loop|circle/);
});

sshTest("ssh connection: ProxyCommand carries the bytes, and its end is awaited", async () => {
  await using world = await startWorld();
  const command = `${Deno.execPath()} eval ` +
    `"const c=await Deno.connect({hostname:'%h',port:%p});` +
    `Deno.stdin.readable.pipeTo(c.writable);await c.readable.pipeTo(Deno.stdout.writable)"`;
  const connection = await world.connect({ proxyCommand: command });
  assertEquals((await run(connection, "echo proxied")).stdout, "proxied\n");
  await closing(connection);
});

sshTest("ssh connection: a failing ProxyCommand is quoted, made harmless", async () => {
  await using world = await startWorld();
  const proxyCommand = "sh -c 'printf \"no\\033[2J way\\n\" >&2; exit 1'";
  const error = await failure(world.connect({ proxyCommand }));
  assertEquals(error.kind, "connect");
  assertStringIncludes(error.message, "no\\x1b[2J way");
});

sshTest("ssh connection: names that could be commands never reach one", async () => {
  await using world = await startWorld();
  const proxyCommand = "touch %h %r";
  for (
    const names of [{ hostname: "-oX" }, { hostname: "a;b" }, { user: "$(id)" }, { user: "-x" }]
  ) {
    const error = await failure(world.connect({ proxyCommand, ...names }));
    assertEquals(error.kind, "usage");
  }
});

sshTest("ssh connection: refused, unresolvable and silent hosts name the phase", async () => {
  await using world = await startWorld();
  const refused = await failure(world.connect({ port: 1 }));
  assertEquals(refused.kind, "connect");
  assertStringIncludes(refused.message, `${world.account.name}@127.0.0.1:1`);
  const nameless = await failure(world.connect({ hostname: "no-such-host.invalid" }));
  assertEquals(nameless.kind, "resolve");
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const accepted = listener.accept();
  const usual = PHASE_DEADLINES.kex;
  PHASE_DEADLINES.kex = 50;
  try {
    const silent = await failure(world.connect({ port: listener.addr.port }));
    assertEquals(silent.kind, "timeout");
    assertStringIncludes(silent.message, "exchange keys with");
  } finally {
    PHASE_DEADLINES.kex = usual;
    (await accepted).close();
  }
});

sshTest(
  "ssh connection: a host that is silent while it authenticates is told as such",
  async () => {
    await using dir = await tempDir();
    const fifo = dir.join("never");
    await new Deno.Command("mkfifo", { args: [fifo] }).output();
    // sshd looks for a key, and what it asks never answers.
    const config = [`AuthorizedKeysCommand /bin/cat ${fifo}`, "AuthorizedKeysCommandUser root"];
    await using world = await startWorld({
      sshd: { config, authorizedKeys: [] },
      account: { authorizedKeys: [] },
    });
    const usual = PHASE_DEADLINES.authenticate;
    PHASE_DEADLINES.authenticate = 200;
    try {
      const error = await failure(world.connect());
      assertEquals(error.kind, "timeout");
      assertStringIncludes(error.message, `Cannot authenticate as ${world.account.name}@127.0.0.1`);
    } finally {
      PHASE_DEADLINES.authenticate = usual;
      // Lets go of who waits for it.
      (await Deno.open(fifo, { read: true, write: true })).close();
    }
  },
);

sshTest("ssh connection: what is no SSH server is a kex error", async () => {
  await using world = await startWorld();
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const serving = (async () => {
    using connection = await listener.accept();
    await connection.write(new TextEncoder().encode("HTTP/1.0 400 \x1b[2JBad\r\n\r\n"));
  })();
  const error = await failure(world.connect({ port: listener.addr.port }));
  await serving;
  assertEquals(error.kind, "kex");
  assert(!error.message.includes("\x1b"));
});

sshTest("ssh connection: giving up ends the attempt", async () => {
  await using world = await startWorld();
  const controller = new AbortController();
  const ask = () => {
    controller.abort();
    return new Promise<null>(() => {});
  };
  const work = world.connect({ userKnownHostsFiles: [] }, { ask, signal: controller.signal });
  assertEquals((await failure(work)).kind, "cancelled");
  const early = world.connect({}, { signal: controller.signal });
  assertEquals((await failure(early)).kind, "cancelled");
});
