/**
 * A descriptor that another process has handed over, as bytes to read or to write. How it blocks is left as it is: the
 * other process and its parents share it. For `mux_session.ts`.
 */
import { HoldfastError } from "../core/errors.ts";
import type { TerminalSize } from "../core/host.ts";
import {
  cString,
  EAGAIN,
  errno,
  libc,
  MSG_DONTWAIT,
  MSG_NOSIGNAL,
  O_CLOEXEC,
  O_NOCTTY,
  O_NONBLOCK,
  O_WRONLY,
  TIOCGWINSZ,
} from "./libc.ts";
import type { Readiness } from "./readiness.ts";

const CHUNK = 64 * 1024;
const CHUNK_SIZE = BigInt(CHUNK);

/**
 * - `socket`: calls can be told not to block
 * - `own`: opened anew, so that it can be one that does not block; so with pipes and terminals
 * - `shared`: may block, and has a thread for it; so with files, whose position is shared, too
 */
type Kind = "socket" | "own" | "shared";

export class Descriptor {
  readonly #readiness: Readiness;
  readonly #kind: Kind;
  readonly #number: number;
  /** A thread is at it: its number must not become another's. */
  #isBusy = false;
  #isClosed = false;

  /** Takes the descriptor `number` over; {@linkcode close} closes it. */
  constructor(
    number: number,
    { use, readiness }: { use: "read" | "write"; readiness: Readiness },
  ) {
    this.#readiness = readiness;
    const path = `/proc/self/fd/${number}`;
    const target = linkTarget(path);
    this.#number = number;
    this.#kind = target.startsWith("socket:") ? "socket" : "shared";
    if (this.#kind === "socket" || isFile(path)) return;
    const access = use === "read" ? 0 : O_WRONLY;
    const own = libc().open(cString(path), access | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    if (own < 0) return;
    libc().close(number);
    this.#number = own;
    this.#kind = "own";
  }

  /** What is there, at most 64 KiB; null at the end, and once it is closed. */
  async read(): Promise<Uint8Array | null> {
    const buffer = new Uint8Array(CHUNK);
    for (;;) {
      // Nobody may lose what is typed for whoever comes next: it is read when it is there, and only then.
      if (this.#kind === "shared") await this.#readiness.wait(this.#number, "read");
      if (this.#isClosed) return null;
      const count = this.#kind === "shared"
        ? await this.#inThread(() => libc().readInThread(this.#number, buffer, CHUNK_SIZE))
        : this.#kind === "socket"
        ? libc().recv(this.#number, buffer, CHUNK_SIZE, MSG_DONTWAIT)
        : libc().read(this.#number, buffer, CHUNK_SIZE);
      if (count > 0) return buffer.subarray(0, count);
      if (count === 0 || this.#kind === "shared" || errno() !== EAGAIN) return null;
      await this.#readiness.wait(this.#number, "read");
    }
  }

  /** Writes some of it; resolves with how many bytes. Rejects with `io` when nobody takes them any more. */
  async write(bytes: Uint8Array): Promise<number> {
    const some = bytes.subarray(0, CHUNK) as Uint8Array<ArrayBuffer>;
    const size = BigInt(some.length);
    for (;;) {
      if (this.#isClosed) throw gone();
      const count = this.#kind === "shared"
        ? await this.#inThread(() => libc().writeInThread(this.#number, some, size))
        : this.#kind === "socket"
        ? libc().send(this.#number, some, size, MSG_DONTWAIT | MSG_NOSIGNAL)
        : libc().write(this.#number, some, size);
      if (count >= 0) return count;
      if (this.#kind === "shared" || errno() !== EAGAIN) throw gone();
      await this.#readiness.wait(this.#number, "write");
    }
  }

  /** Of a terminal; null where it is none, or has none. */
  size(): TerminalSize | null {
    const found = new Uint16Array(4);
    if (libc().ioctl(this.#number, TIOCGWINSZ, new Uint8Array(found.buffer)) < 0) return null;
    const [rows, columns] = found;
    return rows > 0 && columns > 0 ? { rows, columns } : null;
  }

  /** What waits ends; a thread that is at it may still hold it for a while. */
  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#readiness.forget(this.#number);
    if (!this.#isBusy) libc().close(this.#number);
  }

  async #inThread(call: () => Promise<number>): Promise<number> {
    this.#isBusy = true;
    const count = await call();
    this.#isBusy = false;
    if (this.#isClosed) libc().close(this.#number);
    return count;
  }
}

function linkTarget(path: string): string {
  try {
    return Deno.readLinkSync(path);
  } catch {
    return "";
  }
}

function isFile(path: string): boolean {
  try {
    return Deno.statSync(path).isFile;
  } catch {
    return true;
  }
}

function gone(): HoldfastError {
  return new HoldfastError("io", "whoever read the output is gone");
}
