/** Whatever dies, nothing of it stays behind: five seconds later no hop runs a process of a tree that is gone. */
import { assertEquals } from "../support/assert.ts";
import { createAccount } from "../support/accounts.ts";
import { Workspace } from "../support/holdfast.ts";
import { listProcesses, type ProcessInfo, waitUntilGone } from "../support/processes.ts";
import { startSshd } from "../support/sshd.ts";
import { test } from "../support/test.ts";

const LIMIT = 5000;
const TARGET = "web1,sudo,local,sudo=nobody";

interface World extends AsyncDisposable {
  workspace: Workspace;
  /** Contexts of this tree and the commands they run. */
  remains(): ProcessInfo[];
  daemon(): Promise<number>;
  /** The process of the context with this name. */
  context(name: string): number;
  /** sshd's processes for the connection. */
  sessions(): ProcessInfo[];
}

async function makeWorld(): Promise<World> {
  await using stack = new AsyncDisposableStack();
  const sshd = stack.use(await startSshd());
  const account = stack.use(await createAccount({ runtimes: ["deno"], sudo: "nopasswd" }));
  await Deno.chmod(account.home, 0o755);
  const workspace = stack.use(await Workspace.create());
  await workspace.addHost("web1", { user: account.name, port: sshd.port });
  await workspace.trust(sshd);
  // The very first command would run without a core.
  await workspace.run("exec", [TARGET, "true"]);
  // A command at each end that ignores what it can ignore.
  const mark = `hf-orphan-${crypto.randomUUID()}`;
  const stubborn = `trap '' HUP TERM; echo up; sleep 300 & wait; : ${mark}`;
  const waiting: Deno.ChildProcess[] = [];
  for (const target of ["web1", TARGET]) {
    const child = await workspace.spawn("exec", ["--argv", target, "sh", "-c", stubborn]);
    const reader = child.stdout.getReader();
    await reader.read();
    reader.releaseLock();
    waiting.push(child);
  }
  const owner = new RegExp(`holdfast: \\S+ \\(\\S+:${await daemonPid(workspace)}\\)`);
  const owned = stack.move();
  return {
    workspace,
    remains: () =>
      listProcesses().filter(({ command }) => owner.test(command) || command.includes(mark))
        .filter(({ command }) => !command.includes("main.ts")),
    daemon: () => daemonPid(workspace),
    context(name) {
      const found = listProcesses().find(({ command }) =>
        command.includes(`holdfast: ${name} (`) && owner.test(command) &&
        /^\S*(deno|node|bun)/.test(command)
      );
      if (!found) throw new Error(`there is no context ${name}`);
      return found.pid;
    },
    sessions: () =>
      account.processes().filter(({ command }) => command.startsWith(`sshd: ${account.name}`)),
    async [Symbol.asyncDispose]() {
      for (const child of waiting) {
        await child.stdin.close().catch(() => {});
        await child.stdout.cancel().catch(() => {});
        await child.stderr.cancel().catch(() => {});
        await child.status;
      }
      await owned.disposeAsync();
    },
  };
}

async function daemonPid(workspace: Workspace): Promise<number> {
  return JSON.parse((await workspace.run("status", ["--json"])).stdout).pid;
}

const hosts = test.needs("sshd", "namespaces", "sudo");

hosts("orphans: none when the daemon is killed with -9", async () => {
  await using world = await makeWorld();
  Deno.kill(await world.daemon(), "SIGKILL");
  assertEquals(await waitUntilGone(world.remains, { deadline: LIMIT }), []);
});

hosts("orphans: none when the ssh link is cut", async () => {
  await using world = await makeWorld();
  for (const { pid } of world.sessions()) Deno.kill(pid, "SIGKILL");
  assertEquals(await waitUntilGone(world.remains, { deadline: LIMIT }), []);
});

hosts("orphans: none behind a context that dies in the middle", async () => {
  await using world = await makeWorld();
  const behind = () => world.remains().filter(({ command }) => !command.includes(" web1 ("));
  Deno.kill(world.context("web1,sudo"), "SIGKILL");
  // What web1 itself runs goes on.
  const deep = () => behind().filter(({ command }) => command.includes("holdfast: web1,"));
  assertEquals(await waitUntilGone(deep, { deadline: LIMIT }), []);
  await world.workspace.run("stop");
  assertEquals(await waitUntilGone(world.remains, { deadline: LIMIT }), []);
});

hosts("orphans: none after an orderly stop", async () => {
  await using world = await makeWorld();
  assertEquals((await world.workspace.run("stop")).code, 0);
  assertEquals(await waitUntilGone(world.remains, { deadline: LIMIT }), []);
});
