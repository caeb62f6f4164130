/**
 * `holdfast stop`: end the daemon and every connection that it holds. Returns when its process has ended; that
 * there is nothing to stop is no failure.
 */
import { greetDaemon } from "../client/greet_daemon.ts";
import { connectDaemon } from "../client/session.ts";
import { HoldfastError } from "../core/errors.ts";
import { checkRuntimeDir, locateRuntimeDir, type RuntimeDir } from "../rendezvous/runtime_dir.ts";
import { VERSION } from "../rendezvous/version.ts";
import { COMMON_OPTIONS, type OptionTable, parseOptions } from "./options.ts";

export const usage = "holdfast stop";

export const options = { ...COMMON_OPTIONS } satisfies OptionTable;

/** Milliseconds until a daemon that was asked to end must have done so. */
const STOP_DEADLINE = 10_000;

export async function run(args: string[]): Promise<number> {
  const { positionals } = await parseOptions(args, options);
  if (positionals.length > 0) {
    const advice = "holdfast disconnect TARGET closes one connection";
    throw new HoldfastError(
      "usage",
      `Cannot read "${positionals[0]}": stop takes no arguments; ${advice}`,
    );
  }
  const dir = locateRuntimeDir();
  console.log(checkRuntimeDir(dir) ? await stop(dir) : "no daemon is running");
  return 0;
}

/** Resolves with what was done, in words. */
async function stop(dir: RuntimeDir): Promise<string> {
  // Nobody starts a daemon meanwhile: it would find the old one's lock taken.
  using turn = await Deno.open(dir.startLock, { create: true, write: true, mode: 0o600 });
  await inTime(turn.lock(true), "a client is still starting it");
  const found = await inTime(greetDaemon(dir), "it does not answer");
  if (!found) return "no daemon is running";
  found.transport.close();
  const { pid, version } = found.greeting.body;
  if (version !== VERSION) {
    (await greetDaemon(dir, { retire: true }))?.transport.close();
    return `the daemon (pid ${pid}) is of another version; it ends when its last client has gone`;
  }
  const session = await connectDaemon({ start: false });
  if (!session) return "no daemon is running";
  await session.daemon("daemon", "stop");
  await session.close();
  // It holds this lock as long as it lives.
  using life = await Deno.open(dir.daemonLock, { create: true, write: true, mode: 0o600 });
  await inTime(life.lock(true), `it was asked to end; kill -9 ${pid} will do it`);
  return `the daemon has ended, pid ${pid}`;
}

/** The kernel's locks know no deadline; a wait that is given up ends with this process. */
async function inTime<T>(work: Promise<T>, state: string): Promise<T> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => {
      const text = `Cannot stop the daemon within ${STOP_DEADLINE / 1000} s: ${state}`;
      reject(new HoldfastError("timeout", text));
    }, STOP_DEADLINE);
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}
