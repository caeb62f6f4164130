/** Hops that are given up while their core starts: what was started for them ends at once, and others are not disturbed. */
import { assertEquals, assertRejects } from "../support/assert.ts";
import { type Account, createAccount } from "../support/accounts.ts";
import { Workspace } from "../support/holdfast.ts";
import { readProcess, waitUntilGone } from "../support/processes.ts";
import { startSshd } from "../support/sshd.ts";
import { test } from "../support/test.ts";
import { sharedRuntime } from "../support/tools.ts";
import { routerIn, until } from "./calls_fixture.ts";

/** Well under the 30 s after which a core that does not answer is ended anyway. */
const LIMIT = 10_000;

/** Lets the first core in a home start; the next ones say so and do `then` before they do. */
function runtime(then: string): string {
  return `#!/bin/sh
mkdir "$HOME/first" 2>/dev/null && exec ${sharedRuntime("deno")} "$@"
echo $$ >"$HOME/new" && mv "$HOME/new" "$HOME/waits"
${then}
exec ${sharedRuntime("deno")} "$@"
`;
}

/** The process of a core that has begun to wait in an account's home. */
async function waiting({ home }: Account): Promise<number> {
  const path = `${home}/waits`;
  await until(() => Deno.stat(path).then(() => true, () => false));
  const pid = Number(await Deno.readTextFile(path));
  await Deno.remove(path);
  return pid;
}

async function kill(client: Deno.ChildProcess, signal: Deno.Signal): Promise<void> {
  client.kill(signal);
  await client.stdin.close().catch(() => {});
  await client.output();
}

async function gone(pid: number): Promise<boolean> {
  const alive = () => [readProcess(pid)].filter((info) => info !== undefined);
  return (await waitUntilGone(alive, { deadline: LIMIT })).length === 0;
}

async function makeWorld() {
  await using stack = new AsyncDisposableStack();
  const sshd = stack.use(await startSshd());
  const account = stack.use(await createAccount({ sudo: "nopasswd" }));
  await account.write(".deno/bin/deno", runtime('read line <"$HOME/gate"'), { mode: 0o755 });
  const gate = `${account.home}/gate`;
  await new Deno.Command("mkfifo", { args: ["-m", "666", gate] }).output();
  const workspace = stack.use(await Workspace.create());
  await workspace.addHost("web1", { user: account.name, port: sshd.port });
  await workspace.trust(sshd);
  // The very first command would run without a core.
  for (let i = 0; i < 2; i++) await workspace.run("exec", ["web1", "true"]);
  const owned = stack.move();
  return {
    account,
    workspace,
    /** Lets the core that waits go on. */
    open: () => Deno.writeTextFile(gate, "go\n"),
    async held() {
      const { connections } = JSON.parse((await workspace.run("status", ["--json"])).stdout);
      return connections;
    },
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

const hosts = test.needs("sshd", "namespaces", "sudo");

hosts(
  "given up hop: its only client is killed: nothing of it stays",
  async () => {
    await using world = await makeWorld();
    const { account, workspace } = world;
    await using client = await workspace.spawn("exec", ["web1,local,local", "true"]);
    const pid = await waiting(account);
    await kill(client, "SIGKILL");
    assertEquals(await gone(pid), true);
    await until(async () => (await world.held()).length === 1);
    const again = workspace.run("exec", ["web1,local", "echo fine"]);
    await waiting(account);
    await world.open();
    assertEquals((await again).stdout, "fine\n");
  },
);

hosts("given up hop: one who cancels is answered, and leaves nothing", async () => {
  await using world = await makeWorld();
  const { account, workspace } = world;
  await using router = await routerIn(workspace);
  const web = await router.ssh({ host: "web1", configFile: workspace.config });
  const controller = new AbortController();
  const opening = router.local({ via: web, signal: controller.signal });
  const failed = assertRejects(() => opening);
  const pid = await waiting(account);
  controller.abort();
  await failed;
  assertEquals(await gone(pid), true);
  await until(async () => (await world.held()).length === 1);
});

hosts("given up hop: it goes on for as long as somebody waits", async () => {
  await using world = await makeWorld();
  const { account, workspace } = world;
  await using client = await workspace.spawn("exec", ["web1,local", "true"]);
  const pid = await waiting(account);
  await using router = await routerIn(workspace);
  const web = await router.ssh({ host: "web1", configFile: workspace.config });
  const opening = router.local({ via: web });
  const clients = async (): Promise<number> => (await world.held()).at(-1).clients;
  await until(async () => await clients() === 2);
  await kill(client, "SIGKILL");
  await until(async () => await clients() === 1);
  await world.open();
  const { stdout } = await (await opening).exec("echo $PPID");
  assertEquals(new TextDecoder().decode(stdout), `${pid}\n`);
});

hosts("given up hop: as another user it ends with its input", async () => {
  await using world = await makeWorld();
  const { workspace } = world;
  await using other = await createAccount();
  await other.write("first/x", "");
  await other.write(".deno/bin/deno", runtime("exec cat >/dev/null"), { mode: 0o755 });
  await using client = await workspace.spawn("exec", [`web1,sudo=${other.name}`, "true"]);
  const pid = await waiting(other);
  await kill(client, "SIGTERM");
  assertEquals(await gone(pid), true);
});

hosts("given up hop: behind a host without a runtime, its tool is ended", async () => {
  await using sshd = await startSshd();
  await using account = await createAccount({ place: "path" });
  const tool = `#!/bin/sh\necho $$ >"$HOME/new" && mv "$HOME/new" "$HOME/waits"\nexec sleep 1000\n`;
  await account.write("tools/docker", tool, { mode: 0o755 });
  await using workspace = await Workspace.create();
  await workspace.addHost("web1", { user: account.name, port: sshd.port });
  await workspace.trust(sshd);
  await using client = await workspace.spawn("exec", ["web1,docker=web", "true"]);
  const pid = await waiting(account);
  await kill(client, "SIGKILL");
  assertEquals(await gone(pid), true);
});
