/**
 * The daemon's life as a process, in order: lock, log, cookie, signals, listen, announce; and back. Each step
 * undoes itself, and what a daemon killed with -9 left behind does not stop the next one.
 */
import { HoldfastError, toHoldfastError } from "../core/errors.ts";
import { hex } from "../core/greeting.ts";
import { unpackedDir } from "../rendezvous/build_info.ts";
import { closeInspector } from "../rendezvous/close_inspector.ts";
import { locateRuntimeDir, makeRuntimeDir, type RuntimeDir } from "../rendezvous/runtime_dir.ts";
import type { Settings } from "../rendezvous/settings.ts";
import { VERSION } from "../rendezvous/version.ts";
import { Daemon } from "./daemon.ts";
import { type Log, openLog } from "./log.ts";
import { removeOldVersions } from "./old_versions.ts";

/** Milliseconds that a daemon which no longer listens, or not yet, may keep the lock from the next one. */
const LOCK_PATIENCE = 5_000;

export interface RunOptions {
  settings: Settings;
  /** As {@linkcode Daemon} wants it. */
  launched?: string;
  /** Called once, when clients can connect. */
  onReady: () => void;
}

/** Runs until the daemon has nothing left to do. Rejects with `refused` when another one holds the lock. */
export async function runDaemon({ settings, launched, onReady }: RunOptions): Promise<void> {
  const dir = locateRuntimeDir();
  makeRuntimeDir(dir);
  // Held until the process has ended: `holdfast stop` waits for that.
  const lock = await takeLock(dir);
  const log = openLog(dir.log, { level: settings.logLevel });
  const cookie = hex(crypto.getRandomValues(new Uint8Array(32)));
  writeCookie(dir, cookie);
  let retired = false;
  const listener = listen(dir);
  const withdraw = () => {
    if (retired) return;
    retired = true;
    removeIfThere(dir.socket);
    listener.close();
  };
  const retire = () => {
    withdraw();
    lock.unlockSync();
  };
  const owner = `${Deno.env.get("USER") ?? Deno.uid()}@${Deno.hostname()}:${Deno.pid}`;
  const daemon = new Daemon({ dir, settings, cookie, owner, log, launched, onRetire: retire });
  const signals = ["SIGTERM", "SIGINT", "SIGHUP"] as const;
  const onSignal = () => daemon.stop("it got a signal");
  for (const signal of signals) Deno.addSignalListener(signal, onSignal);
  const onDebug = () => void closeInspector();
  Deno.addSignalListener("SIGUSR1", onDebug);
  const onDefect = (event: ErrorEvent | PromiseRejectionEvent) => {
    event.preventDefault();
    const error = event instanceof ErrorEvent ? event.error : event.reason;
    log("error", `internal error: ${error?.stack ?? error}`);
  };
  addEventListener("error", onDefect);
  addEventListener("unhandledrejection", onDefect);
  log("info", `daemon ${VERSION} listens, pid ${Deno.pid}`);
  void acceptAll(listener, daemon, log);
  onReady();
  const unpacked = unpackedDir();
  const tidied = unpacked === null ? null : removeOldVersions(unpacked).catch((error) => {
    log("warn", `old versions of this program stay: ${error.message}`);
  });
  await daemon.finished;
  await tidied;
  withdraw();
  for (const signal of signals) Deno.removeSignalListener(signal, onSignal);
  Deno.removeSignalListener("SIGUSR1", onDebug);
  log("info", `daemon ends, pid ${Deno.pid}`);
}

/** A holder without a socket is on its way out, or just starting: worth a moment's wait. */
async function takeLock(dir: RuntimeDir): Promise<Deno.FsFile> {
  const lock = Deno.openSync(dir.daemonLock, { create: true, write: true, mode: 0o600 });
  if (lock.tryLockSync(true)) return lock;
  if (!isThere(dir.socket)) {
    let timer: ReturnType<typeof setTimeout> | undefined;
    const late = new Promise<boolean>((resolve) => {
      timer = setTimeout(resolve, LOCK_PATIENCE, false);
    });
    const taken = await Promise.race([lock.lock(true).then(() => true), late]);
    clearTimeout(timer);
    if (taken) return lock;
  }
  throw new HoldfastError("refused", `Cannot start: a daemon is already running in ${dir.path}`);
}

function writeCookie(dir: RuntimeDir, cookie: string): void {
  const temporary = `${dir.cookie}.${Deno.pid}`;
  removeIfThere(temporary);
  Deno.writeTextFileSync(temporary, cookie, { createNew: true, mode: 0o600 });
  Deno.renameSync(temporary, dir.cookie);
}

/** We hold the lock, so a socket that exists is a dead daemon's. */
function listen(dir: RuntimeDir): Deno.Listener {
  removeIfThere(dir.socket);
  const before = Deno.umask(0o177);
  try {
    return Deno.listen({ transport: "unix", path: dir.socket });
  } catch (error) {
    throw new HoldfastError(
      "io",
      `Cannot listen on ${JSON.stringify(dir.socket)}: ${toHoldfastError(error).message}`,
    );
  } finally {
    Deno.umask(before);
  }
}

async function acceptAll(listener: Deno.Listener, daemon: Daemon, log: Log): Promise<void> {
  for (;;) {
    try {
      void daemon.accept(await listener.accept());
    } catch (error) {
      if (error instanceof Deno.errors.BadResource || error instanceof Deno.errors.Interrupted) {
        return;
      }
      log("error", `cannot accept a client: ${(error as Error).message}`);
      // Most likely out of file descriptors: let some be closed before the next try.
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  }
}

function isThere(path: string): boolean {
  try {
    Deno.lstatSync(path);
    return true;
  } catch {
    return false;
  }
}

function removeIfThere(path: string): void {
  try {
    Deno.removeSync(path);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
}
