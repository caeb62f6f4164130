/**
 * The runtime directory, where client and daemon of one user meet: socket, cookie, locks and log. On the
 * path of every client. Whoever can write there can be us, so it is checked before anything in it is used.
 */
import { HoldfastError } from "../core/errors.ts";

export interface RuntimeDir {
  path: string;
  /** The daemon's Unix socket. */
  socket: string;
  /** What a client must know to be served; only the user can read it. */
  cookie: string;
  /** Locked by the daemon that listens. */
  daemonLock: string;
  /** Locked by a client while it starts a daemon. */
  startLock: string;
  log: string;
}

/** Longest path of a Unix socket on Linux, in bytes; macOS takes 103. */
const MAX_SOCKET_PATH = Deno.build.os === "linux" ? 107 : 103;

/**
 * Where the directory is: `$HOLDFAST_DIR`, `$XDG_RUNTIME_DIR/holdfast`, or `/tmp/holdfast-<uid>`. Creates nothing.
 *
 * @throws {HoldfastError} `usage` when its socket's path is too long or it is not absolute
 */
export function locateRuntimeDir(): RuntimeDir {
  const own = Deno.env.get("HOLDFAST_DIR");
  const session = Deno.env.get("XDG_RUNTIME_DIR");
  const path = own || (session ? `${session}/holdfast` : `/tmp/holdfast-${Deno.uid()}`);
  if (!path.startsWith("/")) {
    throw new HoldfastError(
      "usage",
      `Cannot use runtime directory ${
        JSON.stringify(path)
      }: it is not an absolute path; set HOLDFAST_DIR to one`,
    );
  }
  const socket = `${path}/socket`;
  const length = new TextEncoder().encode(socket).length;
  if (length > MAX_SOCKET_PATH) {
    throw new HoldfastError(
      "usage",
      `Cannot use socket ${
        JSON.stringify(socket)
      }: its path is ${length} bytes and the system takes ` +
        `${MAX_SOCKET_PATH}; set HOLDFAST_DIR to a shorter directory`,
    );
  }
  return {
    path,
    socket,
    cookie: `${path}/cookie`,
    daemonLock: `${path}/daemon.lock`,
    startLock: `${path}/start.lock`,
    log: `${path}/log`,
  };
}

/**
 * Checks that the directory is ours alone. False when it does not exist.
 *
 * @throws {HoldfastError} `refused` when it belongs to somebody else, is open to others or is no directory
 */
export function checkRuntimeDir({ path }: RuntimeDir): boolean {
  let found: Deno.FileInfo;
  try {
    found = Deno.lstatSync(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw refusal(path, `it cannot be looked at (${(error as Error).name})`);
  }
  if (!found.isDirectory) throw refusal(path, "it is not a directory");
  if (found.uid !== Deno.uid()) throw refusal(path, `it belongs to user id ${found.uid}`);
  if (found.mode! & 0o077) {
    const mode = (found.mode! & 0o777).toString(8).padStart(4, "0");
    throw refusal(path, `its mode is ${mode}, open to others; run: chmod 700 ${path}`);
  }
  return true;
}

/** Makes the directory if it is missing and checks it. */
export function makeRuntimeDir(dir: RuntimeDir): void {
  if (checkRuntimeDir(dir)) return;
  try {
    Deno.mkdirSync(dir.path, { mode: 0o700 });
  } catch (error) {
    if (!(error instanceof Deno.errors.AlreadyExists)) {
      throw refusal(dir.path, `it cannot be made (${(error as Error).message})`);
    }
  }
  checkRuntimeDir(dir);
}

function refusal(path: string, why: string): HoldfastError {
  return new HoldfastError(
    "refused",
    `Cannot use runtime directory ${JSON.stringify(path)}: ${why}`,
  );
}
