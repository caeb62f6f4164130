/** Contexts that outlive their connection: through a real sshd and sudo, however the connection ends. */
import { type Context, HoldfastError, type Router } from "../../lib/mod.ts";
import { assert, assertEquals, assertRejects } from "../support/assert.ts";
import { createAccount } from "../support/accounts.ts";
import { Workspace } from "../support/holdfast.ts";
import {
  listProcesses,
  type ProcessInfo,
  readProcess,
  waitUntilGone,
} from "../support/processes.ts";
import { startSshd } from "../support/sshd.ts";
import { test } from "../support/test.ts";
import { REMOTE, type RemoteFunctions, routerIn, until } from "./calls_fixture.ts";
import type { Runtime } from "../support/tools.ts";

type LastingFunctions = typeof import("./called/lasting.ts");
const LASTING = new URL("./called/lasting.ts", import.meta.url);

async function makeWorld(runtime: Runtime = "deno") {
  await using stack = new AsyncDisposableStack();
  const sshd = stack.use(await startSshd());
  const account = stack.use(await createAccount({ runtimes: [runtime], sudo: "nopasswd" }));
  await Deno.chmod(account.home, 0o755);
  const workspace = stack.use(await Workspace.create());
  await workspace.addHost("web1", { user: account.name, port: sshd.port });
  await workspace.trust(sshd);
  const owned = stack.move();
  const daemon = async (): Promise<number> =>
    JSON.parse((await workspace.run("status", ["--json"])).stdout).pid;
  return {
    account,
    workspace,
    daemon,
    /** `web1`, root behind it, and a context behind that. */
    async open(router: Router) {
      const web = await router.ssh({ host: "web1", configFile: workspace.config });
      const root = await router.sudo({ via: web });
      return { web, root, deep: await router.local({ via: root }) };
    },
    /** Contexts behind `web1` of the daemon with this pid, and the tools that lead to them. */
    behind: (daemon: number): ProcessInfo[] =>
      listProcesses().filter(({ command }) =>
        command.includes("holdfast: web1,") && command.includes(`:${daemon})`)
      ),
    /** sshd's processes for the connection. */
    sessions: () =>
      account.processes().filter(({ command }) => command.startsWith(`sshd: ${account.name}`)),
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

/** A function that runs in a context until it is let go; whoever called it gets no answer. */
async function startLasting(context: Context, { router, path }: { router: Router; path: string }) {
  const [gate, done] = [`${path}.gate`, `${path}.done`];
  await new Deno.Command("mkfifo", { args: ["-m", "666", gate] }).output();
  using started = router.channel<number>();
  const call = context.module<LastingFunctions>(LASTING).last({ gate, done, started });
  const failed = assertRejects(() => call, HoldfastError);
  for await (const pid of started) {
    return {
      pid,
      failed,
      /** Lets it end; resolves with what it wrote when it had. */
      async letGo(): Promise<string> {
        await Deno.writeTextFile(gate, "go\n");
        await until(() => Deno.stat(done).then(({ size }) => size > 0, () => false));
        return await Deno.readTextFile(done);
      },
    };
  }
  throw new Error("it did not start");
}

const pidOf = async (context: Context): Promise<number> =>
  (await context.module<RemoteFunctions>(REMOTE).whoami()).pid;

const runs = (pid: number): boolean => readProcess(pid) !== undefined;

const hosts = (...needs: string[]) => test.needs("sshd", "namespaces", "sudo", ...needs);

type World = Awaited<ReturnType<typeof makeWorld>>;

const ENDS: { how: string; end: (world: World, daemon: number) => Promise<unknown> | void }[] = [
  { how: "the daemon is stopped", end: ({ workspace }) => workspace.run("stop") },
  { how: "the daemon is killed", end: (_, daemon) => Deno.kill(daemon, "SIGKILL") },
  {
    how: "the ssh link is cut",
    end: ({ sessions }) => sessions().forEach(({ pid }) => Deno.kill(pid, "SIGKILL")),
  },
  {
    how: "it is disconnected",
    end: ({ workspace }) => workspace.run("disconnect", ["-F", workspace.config, "web1,sudo"]),
  },
];

for (const runtime of ["deno", "node", "bun"] as const) {
  for (const { how, end } of runtime === "deno" ? ENDS : ENDS.slice(0, 1)) {
    hosts(runtime)(`detach: a subtree goes on when ${how}, on ${runtime}`, async () => {
      await using world = await makeWorld(runtime);
      const { workspace, account } = world;
      await using router = await routerIn(workspace);
      const { web, root, deep } = await world.open(router);
      const daemon = await world.daemon();
      await root.detach();
      // Until then all is as before, for others as well.
      await using other = await routerIn(workspace);
      const shared = await world.open(other);
      const first = await startLasting(root, { router, path: `${account.home}/first` });
      const second = await startLasting(deep, { router, path: `${account.home}/second` });
      assertEquals([await pidOf(shared.root), await pidOf(shared.deep)], [first.pid, second.pid]);
      const above = await pidOf(web);

      await end(world, daemon);
      for (const { failed } of [first, second]) {
        assertEquals((await failed).kind, "disconnected");
      }
      if (how !== "it is disconnected") {
        await until(() => !runs(above));
      }
      // Whoever opens the stack now is given another one, and that ends with its own connection.
      await using next = await routerIn(workspace);
      const again = await world.open(next);
      const fresh = [await pidOf(again.root), await pidOf(again.deep)];
      assertEquals(fresh.filter((pid) => [first.pid, second.pid].includes(pid)), []);
      await workspace.run("stop");
      await until(() => !fresh.some(runs));

      assertEquals([runs(first.pid), runs(second.pid)], [true, true]);
      assertEquals(await first.letGo(), `${first.pid}`);
      assertEquals(await second.letGo(), `${second.pid}`);
      const left = await waitUntilGone(() => world.behind(daemon));
      assertEquals(left.map(({ command }) => command), []);
    });
  }
}

hosts()(
  "detach: a context ends when its process is told to, which ps shows by its name",
  async () => {
    await using world = await makeWorld();
    const { workspace, account } = world;
    await using router = await routerIn(workspace);
    const { root, deep } = await world.open(router);
    const daemon = await world.daemon();
    await root.detach();
    const first = await startLasting(root, { router, path: `${account.home}/first` });
    const second = await startLasting(deep, { router, path: `${account.home}/second` });
    await workspace.run("stop");
    for (const { failed } of [first, second]) await failed;
    for (const [{ pid }, name] of [[first, "web1,sudo"], [second, "web1,sudo,local"]] as const) {
      const named = () =>
        world.behind(daemon).filter(({ command }) => command.includes(`holdfast: ${name} (`));
      assert(named().some((info) => info.pid === pid));
      Deno.kill(pid, "SIGTERM");
      assertEquals((await waitUntilGone(named)).length, 0);
      assertEquals([runs(first.pid), runs(second.pid)], [false, name === "web1,sudo"]);
    }
    // What the functions themselves had started is not the contexts' to end.
    for (const name of ["first", "second"]) {
      await Deno.writeTextFile(`${account.home}/${name}.gate`, "go\n");
    }
  },
);

hosts()("detach: a host's own context goes on when the daemon is stopped", async () => {
  await using world = await makeWorld();
  const { workspace, account } = world;
  await using router = await routerIn(workspace);
  const { web, root } = await world.open(router);
  await web.detach();
  const lasting = await startLasting(web, { router, path: `${account.home}/web` });
  const behind = await pidOf(root);
  await workspace.run("stop");
  await lasting.failed;
  await until(() => !runs(behind)); // nothing ran there
  assertEquals(await lasting.letGo(), `${lasting.pid}`);
  await until(() => !runs(lasting.pid));
});

hosts()("detach: a context in which nothing runs ends with its connection", async () => {
  await using world = await makeWorld();
  const { workspace } = world;
  await using router = await routerIn(workspace);
  const { root, deep } = await world.open(router);
  const daemon = await world.daemon();
  for (const context of [deep, root]) await context.detach();
  assert(world.behind(daemon).length >= 2);
  await workspace.run("stop");
  const left = await waitUntilGone(() => world.behind(daemon));
  assertEquals(left.map(({ command }) => command), []);
});

hosts()("detach: what is not detached ends with its connection, whatever runs there", async () => {
  await using world = await makeWorld();
  const { workspace, account } = world;
  await using router = await routerIn(workspace);
  const { root } = await world.open(router);
  const daemon = await world.daemon();
  const lasting = await startLasting(root, { router, path: `${account.home}/root` });
  assert(world.behind(daemon).length >= 2);
  await workspace.run("stop");
  await lasting.failed;
  assertEquals((await waitUntilGone(() => world.behind(daemon))).length, 0);
  await Deno.writeTextFile(`${account.home}/root.gate`, "go\n");
});

hosts()("detach: a context without a runtime says that it cannot", async () => {
  await using sshd = await startSshd();
  await using account = await createAccount();
  await using workspace = await Workspace.create();
  await workspace.addHost("bare", { user: account.name, port: sshd.port });
  await workspace.trust(sshd);
  await using router = await routerIn(workspace);
  const bare = await router.ssh({ host: "bare", configFile: workspace.config });
  const error = await assertRejects(() => bare.detach(), HoldfastError);
  assertEquals(error.kind, "bootstrap");
});
