/** `holdfast daemon`: hold the connections. Clients start it with `--announce` when there is none. */
import { HoldfastError, toHoldfastError } from "../core/errors.ts";
import { launchedFile, restoreEnvironment } from "../rendezvous/build_info.ts";
import {
  LOG_LEVELS,
  type LogLevel,
  readSettings,
  type Settings,
  settingsEnvironment,
} from "../rendezvous/settings.ts";
import { COMMON_OPTIONS, integer, type OptionTable, parseOptions, seconds } from "./options.ts";

export const usage = "holdfast daemon [options]";

export const options = {
  foreground: { long: "foreground", help: "stay in the foreground and say when it listens" },
  announce: {
    long: "announce",
    help: "announce readiness on stdout, for the client that started it",
  },
  idleTimeout: {
    long: "idle-timeout",
    value: "SECONDS",
    parse: seconds,
    help: "close a connection that was unused this long (60)",
  },
  daemonTimeout: {
    long: "daemon-timeout",
    value: "SECONDS",
    parse: seconds,
    help: "end when there was no connection this long (600)",
  },
  maxConnections: {
    long: "max-connections",
    value: "N",
    parse: integer({ min: 1, max: 100_000 }),
    help: "hold at most this many connections (256)",
  },
  logLevel: {
    long: "log-level",
    value: "LEVEL",
    parse: logLevel,
    help: "error, warn, info or debug (info)",
  },
  ...COMMON_OPTIONS,
} satisfies OptionTable;

export async function run(args: string[]): Promise<number> {
  const { options: given, positionals } = await parseOptions(args, options);
  if (positionals.length > 0) {
    throw new HoldfastError("usage", `Cannot read "${positionals[0]}": daemon takes no arguments`);
  }
  const launched = launchedFile();
  if (given.announce || given.foreground) restoreEnvironment();
  if (!given.announce) {
    const settings = readSettings(given);
    if (!given.foreground) return await startInBackground(settings);
    const { runDaemon } = await import("../daemon/run_daemon.ts");
    await runDaemon({
      settings,
      launched,
      onReady: () => console.error("holdfast: the daemon listens"),
    });
    return 0;
  }
  const announce = (text: string) => {
    Deno.stdout.writeSync(new TextEncoder().encode(text));
    Deno.stdout.close();
  };
  try {
    const settings = readSettings(given);
    const { runDaemon } = await import("../daemon/run_daemon.ts");
    await runDaemon({ settings, launched, onReady: () => announce("ready\n") });
    return 0;
  } catch (error) {
    const { kind, description } = toHoldfastError(error).toWire();
    announce(`failed ${JSON.stringify([kind, description])}\n`);
    return 255;
  }
}

async function startInBackground(settings: Settings): Promise<number> {
  const { connectDaemon } = await import("../client/session.ts");
  await using running = await connectDaemon({ start: false });
  if (running) {
    const { pid } = await running.daemon("daemon", "status");
    throw new HoldfastError(
      "refused",
      `Cannot start: a daemon is already running, pid ${pid}; run holdfast stop first`,
    );
  }
  for (const [name, value] of Object.entries(settingsEnvironment(settings))) {
    Deno.env.set(name, value);
  }
  await using session = await connectDaemon();
  const { pid } = await session.daemon("daemon", "status");
  console.log(`holdfast: the daemon runs, pid ${pid}`);
  return 0;
}

function logLevel(text: string): LogLevel {
  const level = LOG_LEVELS.find((known) => known === text);
  if (!level) {
    throw new RangeError(`${JSON.stringify(text)} is not one of ${LOG_LEVELS.join(", ")}`);
  }
  return level;
}
