/**
 * A descriptor that another process has handed over, as bytes to read or to write. How it blocks is left as it is: the
 * other process and its parents share it. For `mux_session.ts`.
 */
import { HoldfastError } from "../core/errors.ts";
import type { TerminalSize } from "../core/host.ts";
import { osError } from "../core/os_error.ts";
import {
  cString,
  EAGAIN,
  ECONNRESET,
  EPIPE,
  errno,
  F_GETFL,
  libc,
  MSG_DONTWAIT,
  MSG_NOSIGNAL,
  O_ACCMODE,
  O_CLOEXEC,
  O_NOCTTY,
  O_NONBLOCK,
  O_RDWR,
  O_WRONLY,
  TIOCGWINSZ,
} from "./libc.ts";
import { isInFront } from "./process_end.ts";
import type { Readiness } from "./readiness.ts";

/** Those of Linux that are told in words. */
const CODES: Record<number, string> = { 5: "EIO", 27: "EFBIG", 28: "ENOSPC", 122: "EDQUOT" };
const CHUNK = 64 * 1024;
/** Bytes that a pipe which can be written takes at least (PIPE_BUF). */
const SIP = 4096;
/** Threads for descriptors that may block: these may hang, and the process has 32 for everything. */
const THREADS = 12;

/** Milliseconds until it is looked whether who was in the background still is. */
const BEHIND = 100;

/**
 * - `socket`: calls can be told not to block
 * - `own`: opened anew, so that it can be one that does not block; so with pipes and terminals
 * - `file`: may block, and gets a thread for each call; its position is shared
 * - `shared`: as well, but only when it is ready; so with other users' pipes
 * - `unfit`: was opened for the other use only; opened anew it would serve
 */
type Kind = "socket" | "own" | "file" | "shared" | "unfit";

export class Descriptor {
  readonly #readiness: Readiness;
  readonly #kind: Kind;
  readonly #number: number;
  /** For a terminal's input: whether what is typed is for who handed it over. */
  readonly #isInFront: (() => boolean) | null = null;
  /** Threads that are at it: its number must not become another's. */
  #busy = 0;
  #isClosed = false;

  /** Takes the descriptor `number` over from a process; {@linkcode close} closes it. */
  constructor(
    number: number,
    { use, readiness, owner }: { use: "read" | "write"; readiness: Readiness; owner: number },
  ) {
    this.#readiness = readiness;
    this.#number = number;
    const path = `/proc/self/fd/${number}`;
    const info = stat(path);
    this.#kind = info?.isSocket ? "socket" : info?.isFile ? "file" : "shared";
    if (use === "read" && info?.isCharDevice && windowOf(number)) {
      this.#isInFront = () => isInFront(owner, info.rdev);
    }
    const access = use === "read" ? 0 : O_WRONLY;
    const given = libc().fcntl(number, F_GETFL) & O_ACCMODE;
    if (given !== access && given !== O_RDWR) this.#kind = "unfit";
    if (this.#kind !== "shared" || !info || !isSameAnew(info)) return;
    const own = libc().open(cString(path), access | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    if (own < 0) return;
    libc().close(number);
    this.#number = own;
    this.#kind = "own";
  }

  /** What is there, at most 64 KiB; null at the end, and once it is closed. */
  async read(): Promise<Uint8Array | null> {
    const buffer = new Uint8Array(CHUNK);
    const size = BigInt(CHUNK);
    for (;;) {
      if (this.#isClosed || this.#kind === "unfit") return null;
      // Nobody may lose what is typed for whoever comes next: it is read when it is there, and only then.
      if (this.#kind === "shared") await this.#readiness.wait(this.#number, "read");
      if (this.#isInFront?.() === false) {
        await new Promise((resolve) => setTimeout(resolve, BEHIND));
        continue;
      }
      const count = this.#hasThread
        ? await this.#inThread(() => libc().readInThread(this.#number, buffer, size))
        : this.#kind === "socket"
        ? libc().recv(this.#number, buffer, size, MSG_DONTWAIT)
        : libc().read(this.#number, buffer, size);
      if (count > 0) return buffer.subarray(0, count);
      if (count === 0 || this.#hasThread || errno() !== EAGAIN) return null;
      await this.#readiness.wait(this.#number, "read");
    }
  }

  /** Writes some of it; resolves with how many bytes. Rejects with `io` when nobody takes them any more. */
  async write(bytes: Uint8Array): Promise<number> {
    const most = this.#kind === "shared" ? SIP : CHUNK;
    const some = bytes.subarray(0, most) as Uint8Array<ArrayBuffer>;
    const size = BigInt(some.length);
    for (;;) {
      if (this.#isClosed || this.#kind === "unfit") throw new ReaderGone();
      if (this.#kind === "shared") await this.#readiness.wait(this.#number, "write");
      const count = this.#hasThread
        ? await this.#inThread(() => libc().writeInThread(this.#number, some, size))
        : this.#kind === "socket"
        ? libc().send(this.#number, some, size, MSG_DONTWAIT | MSG_NOSIGNAL)
        : libc().write(this.#number, some, size);
      if (count >= 0) return count;
      if (this.#isClosed) throw new ReaderGone(); // its number may be another's
      // What went wrong in a thread, only another try tells; a file does not make us wait.
      const failed = this.#hasThread
        ? this.#kind === "file" && libc().write(this.#number, some, size) < 0 ? errno() : EPIPE
        : errno();
      if (failed !== EAGAIN) throw writeError(failed);
      await this.#readiness.wait(this.#number, "write");
    }
  }

  /** Of a terminal; null where it is none, or has none. */
  size(): TerminalSize | null {
    if (this.#isClosed) return null;
    const { rows, columns } = windowOf(this.#number) ?? { rows: 0, columns: 0 };
    return rows > 0 && columns > 0 ? { rows, columns } : null;
  }

  /** What waits ends; a thread that is at it may still hold it for a while. */
  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#readiness.forget(this.#number);
    if (this.#busy === 0) libc().close(this.#number);
  }

  get #hasThread(): boolean {
    return this.#kind === "file" || this.#kind === "shared";
  }

  /** What the call says; -1 when it was closed before there was a thread. */
  async #inThread(call: () => Promise<number>): Promise<number> {
    await takeThread();
    try {
      if (this.#isClosed) return -1;
      this.#busy++;
      const count = await call();
      if (--this.#busy === 0 && this.#isClosed) libc().close(this.#number);
      return count;
    } finally {
      giveThread();
    }
  }
}

let threads = 0;
const inLine: (() => void)[] = [];

/** In turn. */
async function takeThread(): Promise<void> {
  if (threads < THREADS) threads++;
  else await new Promise<void>((resolve) => inLine.push(resolve));
}

function giveThread(): void {
  const next = inLine.shift();
  if (next) next();
  else threads--;
}

/** Device numbers, major ones: /dev/null and its like, consoles, serial lines. */
const DEVICES = [1, 4, 188, 204];
/** Those of pseudo-terminals, from and to; /dev/tty and /dev/ptmx are another thing for everyone who opens them. */
const TERMINALS = [136, 143];

/** Whether who opens it again gets the same, and nothing happens by that. */
function isSameAnew({ isFifo, isCharDevice, rdev }: Deno.FileInfo): boolean {
  const major = ((rdev ?? 0) >> 8) & 0xfff;
  const isKnown = DEVICES.includes(major) || (major >= TERMINALS[0] && major <= TERMINALS[1]);
  return isFifo === true || (isCharDevice === true && isKnown);
}

/** Null where it is no terminal. */
function windowOf(number: number): TerminalSize | null {
  const found = new Uint16Array(4);
  if (libc().ioctl(number, TIOCGWINSZ, new Uint8Array(found.buffer)) < 0) return null;
  return { rows: found[0], columns: found[1] };
}

function stat(path: string): Deno.FileInfo | null {
  try {
    return Deno.statSync(path);
  } catch {
    return null;
  }
}

/** Whoever read the output does not any more. */
export class ReaderGone extends HoldfastError {
  constructor() {
    super("io", "whoever read the output is gone");
  }
}

function writeError(code: number): HoldfastError {
  if (code === EPIPE || code === ECONNRESET) return new ReaderGone();
  return osError("write the output", { code: CODES[code], message: `error ${code}` });
}
