/** What the user may set about the daemon, by option of `holdfast daemon` or by environment. */
import { HoldfastError } from "../core/errors.ts";

export interface Settings {
  /** Milliseconds that an unused connection is held. Default 60 000; `HOLDFAST_IDLE_TIMEOUT` in seconds. */
  idleTimeout: number;
  /** Milliseconds that a daemon without connections lives. Default 600 000; `HOLDFAST_DAEMON_TIMEOUT` in seconds. */
  daemonTimeout: number;
  /** Connections held at once; the least recently used idle one makes room. Default 256; `HOLDFAST_MAX_CONNECTIONS`. */
  maxConnections: number;
  /** What goes into the log: `error`, `warn`, `info` or `debug`. Default `info`; `HOLDFAST_LOG_LEVEL`. */
  logLevel: LogLevel;
}

export type LogLevel = "error" | "warn" | "info" | "debug";

export const LOG_LEVELS: readonly LogLevel[] = ["error", "warn", "info", "debug"];

/** Options win over the environment, the environment over the defaults. Throws `usage` for a bad value. */
export function readSettings(given: Partial<Settings> = {}): Settings {
  return {
    idleTimeout: given.idleTimeout ?? seconds("HOLDFAST_IDLE_TIMEOUT") ?? 60_000,
    daemonTimeout: given.daemonTimeout ?? seconds("HOLDFAST_DAEMON_TIMEOUT") ?? 600_000,
    maxConnections: given.maxConnections ?? count("HOLDFAST_MAX_CONNECTIONS") ?? 256,
    logLevel: given.logLevel ?? logLevel("HOLDFAST_LOG_LEVEL") ?? "info",
  };
}

/** The environment under which a daemon that is started later reads the same settings. */
export function settingsEnvironment(settings: Settings): Record<string, string> {
  return {
    HOLDFAST_IDLE_TIMEOUT: String(settings.idleTimeout / 1000),
    HOLDFAST_DAEMON_TIMEOUT: String(settings.daemonTimeout / 1000),
    HOLDFAST_MAX_CONNECTIONS: String(settings.maxConnections),
    HOLDFAST_LOG_LEVEL: settings.logLevel,
  };
}

function seconds(name: string): number | undefined {
  const number = positive(name);
  return number === undefined ? undefined : Math.round(number * 1000);
}

function count(name: string): number | undefined {
  const number = positive(name);
  if (number !== undefined && !Number.isInteger(number)) throw bad(name, "a whole number above 0");
  return number;
}

function positive(name: string): number | undefined {
  const text = Deno.env.get(name);
  if (!text) return undefined;
  const number = Number(text);
  if (!(number > 0 && number < 2_000_000)) throw bad(name, "a number above 0");
  return number;
}

function logLevel(name: string): LogLevel | undefined {
  const text = Deno.env.get(name);
  if (!text) return undefined;
  const level = LOG_LEVELS.find((known) => known === text);
  if (!level) throw bad(name, `one of ${LOG_LEVELS.join(", ")}`);
  return level;
}

function bad(name: string, wanted: string): HoldfastError {
  const value = JSON.stringify(Deno.env.get(name));
  return new HoldfastError("usage", `Cannot read ${name}=${value}: it must be ${wanted}`);
}
