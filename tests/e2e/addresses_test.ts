/** A host of several addresses, or an unusual one: which are tried, which is taken, and what is told when none answers. */
import { assert, assertEquals, assertMatch } from "../support/assert.ts";
import { createAccount } from "../support/accounts.ts";
import { Workspace } from "../support/holdfast.ts";
import { programWords } from "../support/program.ts";
import { startSshd } from "../support/sshd.ts";
import { test } from "../support/test.ts";

const hosts = test.needs("sshd", "namespaces", "python3");

hosts("addresses: the first that answers is taken, and a missing one is told", async (t) => {
  await using world = await makeWorld([
    "127.0.0.2 refusing-first",
    "127.0.0.1 refusing-first",
    "127.0.0.3 silent-first",
    "127.0.0.1 silent-first",
    "::1 sixth-first",
    "127.0.0.1 sixth-first",
    "127.0.0.2 none",
    "::1 none",
    "127.0.0.3 silent",
  ]);
  const { workspace, sshd } = world;
  await using _silent = await startSilent("127.0.0.3", sshd.port);

  for (const name of ["refusing-first", "silent-first", "sixth-first"]) {
    await t.step(name, async () => {
      const outcome = await workspace.run("exec", [name, "echo on"]);
      assertEquals([outcome.code, outcome.stdout, outcome.stderr], [0, "on\n", ""]);
    });
  }
  await t.step("none answers: all are named", async () => {
    const { code, stdout, stderr } = await workspace.run("exec", ["none", "true"]);
    assertEquals([code, stdout], [255, ""]);
    assertMatch(stderr, /127\.0\.0\.2: connection refused/);
    assertMatch(stderr, /::1: /);
    assert(stderr.trimEnd().split("\n").length <= 2, stderr);
  });
  await t.step("no answer: the phase and what to try", async () => {
    const args = ["-o", "ConnectTimeout=1", "silent", "true"];
    const { code, stdout, stderr } = await workspace.run("exec", args);
    assertEquals([code, stdout], [255, ""]);
    assertMatch(
      stderr,
      /^holdfast: Cannot connect to .*@silent:\d+: no answer in time\n.*firewall/,
    );
  });
  await t.step("AddressFamily leaves the others out", async () => {
    const options = ["-o", "AddressFamily=inet6"];
    const { code, stderr } = await workspace.run("exec", [...options, "sixth-first", "true"]);
    assertEquals(code, 255);
    assert(!stderr.includes("127.0.0.1:"), stderr);
  });
});

hosts("addresses: BindAddress is where the connection comes from", async () => {
  await using world = await makeWorld(["127.0.0.1 plain"]);
  const { workspace, sshd } = world;
  const bound = ["-o", "BindAddress=127.0.0.7", "plain", "echo $SSH_CLIENT"];
  assertMatch((await workspace.run("exec", bound)).stdout, /^127\.0\.0\.7 \d+ \d+\n$/);
  // Another source is another connection.
  const other = ["-o", "BindAddress=127.0.0.8", "plain", "echo $SSH_CLIENT"];
  assertMatch((await workspace.run("exec", other)).stdout, /^127\.0\.0\.8 /);
  assertEquals(await sshd.logins(), 2);
  const foreign = ["-o", "BindAddress=192.0.2.1", "plain", "true"];
  const { code, stderr } = await workspace.run("exec", foreign);
  assertEquals(code, 255);
  assertMatch(stderr, /^holdfast: .*127\.0\.0\.1: cannot bind to BindAddress 192\.0\.2\.1\n/);
});

hosts("addresses: an IPv6 address, as TARGET and as HostName", async () => {
  await using world = await makeWorld(["::1 six"], { config: ["ListenAddress ::1"] });
  const { workspace, account, sshd } = world;
  await Deno.writeTextFile(
    workspace.knownHosts,
    sshd.hostKeyLines(`[::1]:${sshd.port}`).join("\n") + "\n",
    { append: true },
  );
  await workspace.addHost("::1", { port: sshd.port, config: ["HostName ::1"] });
  const target = `${account.name}@[::1]:${sshd.port}`;
  for (const name of [target, "six"]) {
    const outcome = await workspace.run("exec", [name, "echo $SSH_CLIENT"]);
    assertEquals([outcome.code, outcome.stderr], [0, ""]);
    assertMatch(outcome.stdout, /^::1 /);
  }
});

/** A workspace whose daemon lives in a mount namespace with these lines as /etc/hosts, each of them a host. */
async function makeWorld(lines: string[], { config = [] }: { config?: string[] } = {}) {
  await using stack = new AsyncDisposableStack();
  const sshd = stack.use(await startSshd({ config }));
  const account = stack.use(await createAccount({ runtimes: ["deno"] }));
  const workspace = stack.use(await Workspace.create());
  for (const name of new Set(lines.map((line) => line.split(" ")[1]))) {
    const own = [`HostName ${name}`, "HostKeyAlias [127.0.0.1]:" + sshd.port];
    await workspace.addHost(name, { user: account.name, port: sshd.port, config: own });
  }
  await workspace.trust(sshd);
  const table = workspace.join("hosts");
  await Deno.writeTextFile(table, lines.join("\n") + "\n");
  const daemon = [...programWords({ home: workspace.home }), "daemon"];
  const script = 'mount --bind "$0" /etc/hosts && exec "$@"';
  const started = await new Deno.Command("unshare", {
    args: ["--mount", "sh", "-c", script, table, ...daemon],
    env: await workspace.env(),
    clearEnv: true,
    stdin: "null",
  }).output();
  assert(started.success, new TextDecoder().decode(started.stderr));
  const owned = stack.move();
  return { sshd, account, workspace, [Symbol.asyncDispose]: () => owned.disposeAsync() };
}

/** An address whose queue of connections is full, so that it answers nobody. */
async function startSilent(hostname: string, port: number): Promise<AsyncDisposable> {
  const script = "import socket,sys\n" +
    "s = socket.socket()\ns.bind((sys.argv[1], int(sys.argv[2])))\ns.listen(0)\n" +
    "c = [socket.socket() for _ in range(4)]\n" +
    "for x in c:\n  x.setblocking(False)\n  x.connect_ex(s.getsockname())\n" +
    "print('full', flush=True)\nsys.stdin.read()\n";
  const process = new Deno.Command("python3", {
    args: ["-c", script, hostname, `${port}`],
    stdin: "piped",
    stdout: "piped",
  }).spawn();
  const reader = process.stdout.getReader();
  await reader.read();
  return {
    async [Symbol.asyncDispose]() {
      await process.stdin.close();
      await reader.cancel();
      await process.status;
    },
  };
}
