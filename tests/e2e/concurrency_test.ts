/** Many commands and bad networks: one connection is made, shared, missed when it is lost, and made again. */
import { assert, assertEquals, assertMatch, assertStringIncludes } from "../support/assert.ts";
import { createAccount } from "../support/accounts.ts";
import { startDelayProxy } from "../support/delay_proxy.ts";
import { type Outcome, Workspace } from "../support/holdfast.ts";
import { listProcesses, waitUntilGone } from "../support/processes.ts";
import { startSshd } from "../support/sshd.ts";
import { test } from "../support/test.ts";

const hosts = test.needs("sshd", "namespaces");

hosts("exec: two hundred at once on MaxSessions 10 are one login and one session", async () => {
  await using world = await makeWorld({ maxSessions: 10 });
  const { workspace, sshd, account } = world;
  // A transfer waits for the core, whose session is then the only one; a first command would have its own.
  await workspace.run("fetch", ["target", "/etc/passwd", "-"]);
  await workspace.run("exec", ["target", "mkfifo gate"]);
  // Each is held at the gate, so that all of them run at the same moment.
  const line = (i: number) => `echo ${i}; head -c1 gate > /dev/null; exit ${i % 100}`;
  const running = crowd(200, (i) => workspace.run("exec", ["target", line(i)]));
  const held = () =>
    account.processes().filter(({ command }) => command === "head -c1 gate").length;
  const none = { pid: 0, ppid: 0, uid: 0, started: 0, command: "" };
  const arrived = () => held() < 200 ? [none] : [];
  assertEquals(await waitUntilGone(arrived, { deadline: 120_000 }), []);
  using gate = await Deno.open(`${account.home}/gate`, { write: true });
  await gate.write(new Uint8Array(200));
  (await running).forEach(({ code, stdout, stderr }, i) =>
    assertEquals({ code, stdout, stderr }, { code: i % 100, stdout: `${i}\n`, stderr: "" })
  );
  assertEquals([await sshd.logins(), await sshd.sessions()], [1, 1]);
});

hosts("exec: fifty at once on a cold host are one login", async () => {
  await using world = await makeWorld();
  const { workspace, sshd } = world;
  const outcomes = await crowd(50, (i) => workspace.run("exec", ["target", `echo ${i}`]));
  assertEquals(outcomes.map(({ stdout }) => stdout), outcomes.map((_, i) => `${i}\n`));
  assertEquals(await sshd.logins(), 1);
  assert(await sshd.sessions() <= 2, await sshd.log());
});

for (const maxSessions of [10, 2, 1]) {
  test.needs("sshd", "namespaces", "sudo")(
    `exec: forty at once on a host without a runtime wait for MaxSessions ${maxSessions}`,
    async () => {
      await using world = await makeWorld({ runtimes: [], maxSessions });
      // One session is left for signals, where there are several: sshd's own reach nothing of root's.
      if (maxSessions > 1) await endAllBehindSudo(world.workspace, maxSessions + 1);
      for (const target of ["target", "target,sudo"]) {
        const outcomes = await crowd(40, (i) => world.workspace.run("exec", [target, `echo ${i}`]));
        outcomes.forEach(({ code, stdout, stderr }, i) =>
          assertEquals({ code, stdout, stderr }, { code: 0, stdout: `${i}\n`, stderr: "" })
        );
      }
      const put = await world.workspace.run("put", ["target", "/etc/passwd", "copy"]);
      assertEquals([put.code, put.stderr], [0, ""]);
      assertEquals((await world.workspace.run("exec", ["target", "echo on"])).stdout, "on\n");
      assertEquals(await world.sshd.logins(), 1);
    },
  );
}

hosts("exec: where a host allows one session, a core shares it out", async () => {
  await using world = await makeWorld({ maxSessions: 1 });
  const { run } = world.workspace;
  const exec = run.bind(world.workspace, "exec");
  // The first, cold command comes while the core takes the session.
  const first = await exec(["target", "cat; exit 3"], { stdin: "in\n" });
  assertEquals([first.code, first.stdout, first.stderr], [3, "in\n", ""]);
  const outcomes = await crowd(10, (i) => exec(["target", `echo ${i}`]));
  assertEquals(outcomes.map(({ stdout }) => stdout), outcomes.map((_, i) => `${i}\n`));
  const terminal = await exec(["-tt", "target", "test -t 0 && stty size; exit 6"]);
  assertEquals([terminal.code, terminal.stdout], [6, "24 80\r\n"]);
  const subsystem = await world.workspace.run("ssh", ["-s", "target", "nonsense"]);
  assertEquals(subsystem.code, 1, subsystem.stderr);
  assertEquals(await world.sshd.logins(), 1);
});

hosts("exec: a warm command makes no connection, 30 ms away", async () => {
  await using world = await makeWorld({ delay: 15 });
  const { workspace, proxy } = world;
  await workspace.run("exec", ["target", "true"]);
  await workspace.run("exec", ["target", "true"]);
  const { code, stdout } = await workspace.run("exec", ["target", "cat; exit 4"], {
    stdin: "over",
  });
  assertEquals([code, stdout, proxy.accepted], [4, "over", 1]);
});

hosts("exec: a connection that is cut fails its command by name, and is made again", async () => {
  await using world = await makeWorld();
  const { workspace, proxy, sshd } = world;
  for (const line of ["true", "true"]) await workspace.run("exec", ["target", line]);
  await using process = await workspace.spawn("exec", ["target", "echo ready; exec sleep 1000"]);
  const reader = process.stdout.getReader();
  await reader.read();
  await proxy.cut();
  const [{ code }, stderr] = await Promise.all([
    process.status,
    new Response(process.stderr).text(),
  ]);
  await Promise.all([reader.cancel(), process.stdin.abort().catch(() => {})]);
  assertEquals(code, 255);
  assertMatch(stderr, new RegExp(`^holdfast: .*127\\.0\\.0\\.1:${proxy.port}: .*\n$`));
  assertEquals((await workspace.run("exec", ["target", "echo again"])).stdout, "again\n");
  assertEquals(await sshd.logins(), 2);
});

hosts("exec: a host that stops answering is found out, and reached again", async () => {
  await using world = await makeWorld();
  const { workspace, proxy } = world;
  for (const line of ["true", "true"]) await workspace.run("exec", ["target", line]);
  proxy.freeze();
  const { code, stderr } = await workspace.run("exec", ["target", "echo never"]);
  assertEquals(code, 255);
  assertStringIncludes(stderr, "target");
  assertMatch(stderr, /stopped answering/);
  proxy.thaw();
  assertEquals((await workspace.run("exec", ["target", "echo again"])).stdout, "again\n");
});

/** Starts more commands than there are sessions, and ends each as soon as it runs. */
async function endAllBehindSudo(workspace: Workspace, count: number): Promise<void> {
  const sleep = `sleep ${100_000 + crypto.getRandomValues(new Uint32Array(1))[0]}`; // nobody else's
  const line = `echo ready; exec ${sleep}`;
  const clients = await Promise.all(
    Array.from({ length: count }, () => workspace.spawn("exec", ["target,sudo", line])),
  );
  // None is ended before all run that can.
  const running = Math.max(1, count - 2);
  const ready = Promise.withResolvers<void>();
  let begun = 0;
  await Promise.all(clients.map(async (client) => {
    const reader = client.stdout.getReader();
    await reader.read();
    if (++begun === running) ready.resolve();
    await ready.promise;
    client.kill("SIGTERM");
    assertEquals((await client.status).code, 143);
    await Promise.all([reader.cancel(), client.stderr.cancel()]);
    await client.stdin.close().catch(() => {});
  }));
  const sleeping = () => listProcesses().filter(({ command }) => command === sleep);
  assertEquals(await waitUntilGone(sleeping), []);
}

async function makeWorld(
  { runtimes = ["deno"], delay, maxSessions }: {
    runtimes?: "deno"[];
    delay?: number;
    maxSessions?: number;
  } = {},
) {
  await using stack = new AsyncDisposableStack();
  const sshd = stack.use(await startSshd({ maxSessions }));
  const account = stack.use(await createAccount({ runtimes, sudo: "nopasswd" }));
  const proxy = stack.use(startDelayProxy({ port: sshd.port, delay }));
  const workspace = stack.use(await Workspace.create());
  await workspace.addHost("target", { user: account.name, port: proxy.port });
  await workspace.trust(sshd, { port: proxy.port });
  const owned = stack.move();
  return { sshd, account, proxy, workspace, [Symbol.asyncDispose]: () => owned.disposeAsync() };
}

/** Starts them without waiting for any; but the proxy runs in this process, too, and has its turn after each. */
async function crowd(size: number, run: (index: number) => Promise<Outcome>): Promise<Outcome[]> {
  const running: Promise<Outcome>[] = [];
  for (let index = 0; index < size; index++) {
    running.push(run(index));
    await new Promise((resolve) => setTimeout(resolve, 0));
  }
  return await Promise.all(running);
}
