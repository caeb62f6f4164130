/** The daemon's life: one per user, healed after every kind of death, replaced, idle, full. */
import { assert, assertEquals, assertMatch, assertNotEquals } from "../support/assert.ts";
import { createAccount } from "../support/accounts.ts";
import { startDelayProxy } from "../support/delay_proxy.ts";
import { denoDir, REPOSITORY, Workspace } from "../support/holdfast.ts";
import {
  killProcesses,
  processesCarrying,
  readProcess,
  waitUntilGone,
} from "../support/processes.ts";
import { startSshd } from "../support/sshd.ts";
import { test } from "../support/test.ts";

const hosts = test.needs("sshd", "namespaces");

test("daemon: status, stop and disconnect without one", async () => {
  await using workspace = await Workspace.create();
  assertEquals((await workspace.run("status")).stdout, "no daemon is running\n");
  const { code, stdout } = await workspace.run("status", ["--json"]);
  assertEquals(code, 0);
  const { pid, version, connections } = JSON.parse(stdout);
  assertEquals([pid, typeof version, connections], [null, "string", []]);
  for (const args of [["stop"], ["disconnect", "web1"]] as const) {
    const outcome = await workspace.run(args[0], args.slice(1));
    assertEquals([outcome.code, outcome.stdout], [0, "no daemon is running\n"]);
  }
  assertEquals(workspace.processes(), []);
});

test("status: a table with a line for each connection, in units for people", async () => {
  await using workspace = await Workspace.create();
  for (let i = 0; i < 2; i++) await workspace.run("exec", ["local", "true"]);
  const { code, stdout } = await workspace.run("status");
  assertEquals(code, 0);
  const [head, empty, titles, ...rows] = stdout.trimEnd().split("\n");
  assertMatch(head, /^holdfast \S+, pid \d+, up \d+ s, 0 clients, [\d.]+ MiB, 1 connection$/);
  assertEquals(empty, "");
  const columns = [
    "TARGET",
    "AS",
    "STATE",
    "RUNTIME",
    "CLIENTS",
    "AGE",
    "IDLE",
    "SENT",
    "RECEIVED",
  ];
  assertEquals(titles.split(/ {2,}/), columns);
  assertEquals(rows.length, 1);
  assertMatch(
    rows[0],
    /^local +local +ready +(deno|node|bun) +0 +\d+ s +\d+ s +[\d.]+ \w+ +[\d.]+ \w+$/,
  );
});

test("daemon: stop returns when it has ended", async () => {
  await using workspace = await Workspace.create();
  await workspace.run("exec", ["local", "true"]);
  const pid = await daemonOf(workspace);
  const { code, stdout } = await workspace.run("stop");
  assertEquals([code, stdout], [0, `the daemon has ended, pid ${pid}\n`]);
  assertEquals(readProcess(pid), undefined);
  assertEquals(exists(`${workspace.dir}/socket`), false);
});

test("daemon: thirty clients at once start one", async () => {
  await using workspace = await Workspace.create();
  const outcomes = await Promise.all(
    Array.from({ length: 30 }, (_, i) => workspace.run("exec", ["local", `echo ${i}`])),
  );
  assertEquals(outcomes.map(({ stdout }) => stdout), outcomes.map((_, i) => `${i}\n`));
  const starts = (await logOf(workspace)).match(/ listens, pid /g);
  assertEquals(starts?.length, 1);
});

test("daemon: a second one refuses", async () => {
  await using workspace = await Workspace.create();
  await workspace.run("exec", ["local", "true"]);
  const pid = await daemonOf(workspace);
  const { code, stdout, stderr } = await workspace.run("daemon", ["--foreground"]);
  assertEquals([code, stdout], [255, ""]);
  assertMatch(stderr, /^holdfast: Cannot start: a daemon is already running in .*\n$/);
  assertEquals(await daemonOf(workspace), pid);
});

test("daemon: in the background it keeps the settings that it was started with", async () => {
  await using workspace = await Workspace.create();
  const words = ["--idle-timeout", "7", "--max-connections", "3", "--log-level", "debug"];
  const started = await workspace.run("daemon", words);
  const pid = await daemonOf(workspace);
  assertEquals(
    [started.code, started.stdout],
    [0, `holdfast: the daemon runs, pid ${pid}\n`],
  );
  const environment = (await Deno.readTextFile(`/proc/${pid}/environ`)).split("\0");
  for (const wanted of ["IDLE_TIMEOUT=7", "MAX_CONNECTIONS=3", "LOG_LEVEL=debug"]) {
    assert(environment.includes(`HOLDFAST_${wanted}`), wanted);
  }
  const again = await workspace.run("daemon", words);
  assertEquals(again.code, 255);
  assertMatch(again.stderr, /^holdfast: Cannot start: a daemon is already running, pid \d+; .*\n$/);
});

test("daemon: killed while idle, it is replaced by the next call", async () => {
  await using workspace = await Workspace.create();
  await workspace.run("exec", ["local", "true"]);
  const pid = await daemonOf(workspace);
  await kill(pid);
  assert(exists(`${workspace.dir}/socket`), "a killed daemon leaves its socket");
  assertEquals((await workspace.run("status")).stdout, "no daemon is running\n");
  assertEquals((await workspace.run("exec", ["local", "echo on"])).stdout, "on\n");
  assertNotEquals(await daemonOf(workspace), pid);
});

test("daemon: what a dead one left, whole or damaged, is in nobody's way", async () => {
  await using workspace = await Workspace.create();
  for (const name of ["socket", "cookie", "daemon.lock", "start.lock"]) {
    await Deno.writeTextFile(`${workspace.dir}/${name}`, "4711\n", { mode: 0o600 });
  }
  const { code, stdout, stderr } = await workspace.run("exec", ["local", "echo on"]);
  assertEquals({ code, stdout, stderr }, { code: 0, stdout: "on\n", stderr: "" });
});

test("daemon: killed in the middle of a command, the command fails and the next call heals", async () => {
  await using workspace = await Workspace.create();
  for (let i = 0; i < 2; i++) await workspace.run("exec", ["local", "true"]);
  await using process = await workspace.spawn("exec", ["local", "echo ready; exec sleep 1000"]);
  const reader = process.stdout.getReader();
  await reader.read();
  await kill(await daemonOf(workspace));
  const [{ code }, stderr] = await Promise.all([
    process.status,
    new Response(process.stderr).text(),
  ]);
  await Promise.all([reader.cancel(), process.stdin.abort().catch(() => {})]);
  assertEquals(code, 255);
  assertMatch(stderr, /^holdfast: .*the daemon went away.*\n$/);
  assertEquals((await workspace.run("exec", ["local", "echo on"])).stdout, "on\n");
});

hosts("daemon: killed while it connects, the waiting call fails and the next heals", async () => {
  await using sshd = await startSshd();
  await using account = await createAccount({ runtimes: ["deno"] });
  await using proxy = startDelayProxy({ port: sshd.port });
  await using workspace = await Workspace.create();
  await workspace.addHost("target", { user: account.name, port: proxy.port });
  await workspace.trust(sshd, { port: proxy.port });
  proxy.freeze();
  await workspace.run("daemon");
  const waiting = workspace.run("exec", ["target", "true"]);
  await waitFor(() => proxy.accepted > 0);
  await kill(await daemonOf(workspace));
  const { code, stderr } = await waiting;
  assertEquals(code, 255);
  assertMatch(stderr, /the daemon went away/);
  proxy.thaw();
  assertEquals((await workspace.run("exec", ["target", "echo on"])).stdout, "on\n");
});

test("daemon: an idle connection is closed, and then the idle daemon ends", async () => {
  await using workspace = await Workspace.create();
  const env = { HOLDFAST_IDLE_TIMEOUT: "0.2", HOLDFAST_DAEMON_TIMEOUT: "0.2" };
  await workspace.run("exec", ["local", "true"], { env });
  assertEquals(await waitUntilGone(() => workspace.processes(), { deadline: 10_000 }), []);
  const log = await logOf(workspace);
  assertMatch(log, /local: closed: local: it was idle/);
  assertMatch(log, /daemon ends/);
  assertEquals(exists(`${workspace.dir}/socket`), false);
});

hosts("daemon: at its cap the least recently used idle connection makes room", async () => {
  await using sshd = await startSshd();
  await using account = await createAccount({ runtimes: ["deno"] });
  await using workspace = await Workspace.create();
  // So that they are three connections.
  const others = { one: "password", two: "keyboard-interactive", three: "hostbased" };
  for (const [name, method] of Object.entries(others)) {
    const config = [`PreferredAuthentications publickey,${method}`];
    await workspace.addHost(name, { user: account.name, port: sshd.port, config });
  }
  await workspace.trust(sshd);
  const env = { HOLDFAST_MAX_CONNECTIONS: "2" };
  for (const name of ["one", "two", "one", "three"]) {
    const { code, stderr } = await workspace.run("exec", [name, "true"], { env });
    assertEquals([code, stderr], [0, ""], await logOf(workspace));
  }
  const { connections } = JSON.parse((await workspace.run("status", ["--json"])).stdout);
  assertEquals(connections.map(({ target }: { target: string }) => target), ["one", "three"]);
});

test("daemon: one of another version is replaced, and its work goes on", async () => {
  await using workspace = await Workspace.create();
  const other = workspace.join("other");
  await copyTree(REPOSITORY, other);
  const file = `${other}/lib/rendezvous/version.ts`;
  const text = await Deno.readTextFile(file);
  await Deno.writeTextFile(file, text.replace(/"[^"]+"/, '"0.0.0-other"'));
  const line = "echo ready; read line; echo $line; exit 6";
  const env = { ...await workspace.env(), DENO_DIR: await denoDir() };
  await using old = new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--quiet", `${other}/main.ts`, "exec", "local", line],
    env,
    clearEnv: true,
    stdin: "piped",
    stdout: "piped",
    stderr: "inherit",
  }).spawn();
  const reader = old.stdout.getReader();
  await reader.read();
  const before = workspace.processes().filter(({ command }) => command.includes(" daemon "));
  assertEquals(before.length, 1);

  const told = JSON.parse((await workspace.run("status", ["--json"])).stdout);
  assertEquals([told.pid, told.version], [before[0].pid, "0.0.0-other"]);
  assertEquals((await workspace.run("exec", ["local", "echo new"])).stdout, "new\n");
  assertNotEquals(await daemonOf(workspace), before[0].pid);
  assert(readProcess(before[0].pid), "the old daemon still carries its command");

  const writer = old.stdin.getWriter();
  await writer.write(new TextEncoder().encode("done\n"));
  await writer.close();
  assertEquals(new TextDecoder().decode((await reader.read()).value), "done\n");
  await reader.cancel();
  assertEquals((await old.status).code, 6);
  const gone = await waitUntilGone(() => before.filter(({ pid }) => readProcess(pid)));
  assertEquals(gone, []);
  // What it removes are its own control sockets.
  const controls = await Deno.readTextFile(`${workspace.dir}/ssh/daemon`);
  assertEquals(controls.split(" ")[0], String(await daemonOf(workspace)));
});

test("disconnect: closes the connection, and what ran there says so", async () => {
  await using workspace = await Workspace.create();
  for (let i = 0; i < 2; i++) await workspace.run("exec", ["local", "true"]);
  await using process = await workspace.spawn("exec", ["local", "exec sleep 1000"]);
  await using _stdin = { [Symbol.asyncDispose]: () => process.stdin.abort().catch(() => {}) };
  await waitFor(() =>
    processesCarrying(workspace.dir).some(({ command }) => command === "sleep 1000")
  );
  assertEquals(
    (await workspace.run("disconnect", ["local"])).stdout,
    "closed the connection to local\n",
  );
  const [{ code }, stderr] = await Promise.all([
    process.status,
    new Response(process.stderr).text(),
    process.stdout.cancel(),
  ]);
  assertEquals(code, 255);
  assertMatch(stderr, /disconnected by holdfast disconnect/);
  const again = await workspace.run("disconnect", ["local"]);
  assertEquals(again.stdout, "no connection to local is held\n");
});

async function daemonOf(workspace: Workspace): Promise<number> {
  return JSON.parse((await workspace.run("status", ["--json"])).stdout).pid;
}

async function kill(pid: number): Promise<void> {
  await killProcesses([readProcess(pid)!]);
}

function logOf(workspace: Workspace): Promise<string> {
  return Deno.readTextFile(`${workspace.dir}/log`);
}

/** For what announces itself to nobody: another process that has started, a connection that came in. */
async function waitFor(seen: () => boolean): Promise<void> {
  const none = { pid: 0, ppid: 0, uid: 0, started: 0, command: "" };
  const left = await waitUntilGone(() => seen() ? [] : [none], { deadline: 10_000 });
  assertEquals(left, []);
}

async function copyTree(from: string, to: string): Promise<void> {
  await Deno.mkdir(to);
  const names = ["main.ts", "deno.json", "deno.lock", "lib"].map((name) => `${from}/${name}`);
  const { success } = await new Deno.Command("cp", { args: ["-R", ...names, to] }).output();
  assert(success);
}

function exists(path: string): boolean {
  try {
    Deno.lstatSync(path);
    return true;
  } catch {
    return false;
  }
}
