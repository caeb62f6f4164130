/** Starts the daemon, or replaces one of another version; one client at a time, under a file lock. */
import { HoldfastError } from "../core/errors.ts";
import type { ErrorKind } from "../core/errors.ts";
import { makeRuntimeDir, type RuntimeDir } from "../rendezvous/runtime_dir.ts";
import { launchedFile } from "../rendezvous/build_info.ts";
import { selfCommand } from "../rendezvous/self_command.ts";
import { greetDaemon, type GreetedDaemon, isOurs } from "./greet_daemon.ts";

/**
 * The daemon forwards many bytes and keeps few: a small nursery keeps its garbage from piling up, and it collects
 * that itself where it knows better (`master/nursery.ts`).
 */
const DAEMON_ENGINE = [
  "--min-semi-space-size=1",
  "--max-semi-space-size=1",
  "--initial-heap-size=64",
  "--expose-gc",
];

/** Milliseconds until a started daemon must have announced that it listens. */
const START_DEADLINE = 20_000;

/**
 * Waits for its turn, looks again, and starts a daemon if there is still none. `found` is a daemon that this
 * client cannot use: it is asked to retire, which lets it finish the work it carries.
 */
export async function startDaemon(
  dir: RuntimeDir,
  found: GreetedDaemon | null,
): Promise<GreetedDaemon | null> {
  found?.transport.close();
  makeRuntimeDir(dir);
  const lock = await Deno.open(dir.startLock, { create: true, write: true, mode: 0o600 });
  try {
    await lock.lock(true);
    const current = await greetDaemon(dir);
    if (current && isOurs(current)) return current;
    if (current) {
      current.transport.close();
      (await greetDaemon(dir, { retire: true }))?.transport.close();
    }
    await spawnDaemon(dir);
    return await greetDaemon(dir);
  } finally {
    lock.close();
  }
}

async function spawnDaemon(dir: RuntimeDir): Promise<void> {
  const file = launchedFile();
  const launched = file?.startsWith("/") === false ? `${Deno.cwd()}/${file}` : file;
  const [program, ...args] = selfCommand("daemon", { engineFlags: DAEMON_ENGINE });
  const child = new Deno.Command(program, {
    args: [...args, "--announce"],
    cwd: "/",
    // Its working directory is another one.
    env: launched === undefined ? {} : { HF_FILE: launched },
    stdin: "null",
    stdout: "piped",
    stderr: "null",
    detached: true,
  }).spawn();
  child.unref();
  let said = "";
  const reader = child.stdout.pipeThrough(new TextDecoderStream()).getReader();
  const timer = setTimeout(() => reader.cancel(), START_DEADLINE);
  for (;;) {
    const { value, done } = await reader.read().catch(() => ({ value: undefined, done: true }));
    if (done) break;
    said += value;
    if (said.includes("\n")) break;
  }
  clearTimeout(timer);
  reader.cancel().catch(() => {});
  if (said === "ready\n") return;
  const [kind, description] = said.startsWith("failed ")
    ? JSON.parse(said.slice(7)) as [ErrorKind, string]
    : ["disconnected", `it ended before it was ready; its log is ${dir.log}`] as const;
  throw new HoldfastError(kind, `Cannot start the daemon: ${description}`);
}
