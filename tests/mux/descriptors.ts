/** Descriptors for the tests of lib/mux, made and looked at by Linux's C library. Not a test itself. */
import { cString, libc, O_CLOEXEC, O_NONBLOCK, O_RDWR } from "../../lib/mux/libc.ts";

libc(); // Loaded before any test, which else would seem to leave it.
const system = Deno.dlopen("libc.so.6", {
  pipe2: { parameters: ["buffer", "i32"], result: "i32" },
  socketpair: { parameters: ["i32", "i32", "i32", "buffer"], result: "i32" },
  posix_openpt: { parameters: ["i32"], result: "i32" },
  grantpt: { parameters: ["i32"], result: "i32" },
  unlockpt: { parameters: ["i32"], result: "i32" },
  ptsname_r: { parameters: ["i32", "buffer", "usize"], result: "i32" },
  fcntl: { parameters: ["i32", "i32", "i32"], result: "i32" },
  lseek: { parameters: ["i32", "i64", "i32"], result: "i64" },
  poll: { parameters: ["buffer", "u64", "i32"], result: "i32" },
  setfsuid: { parameters: ["u32"], result: "i32" },
}).symbols;

const F_DUPFD_CLOEXEC = 1030;
const F_GETFL = 3;

/** A descriptor of our own, closed by disposal unless it was given away. */
export class Own implements Disposable {
  number: number;

  constructor(number: number) {
    if (number < 0) throw new Error("Cannot make a descriptor");
    this.number = number;
  }

  /** A second one for the same thing, to be closed by who gets it; as when it was handed over. */
  share(): number {
    return system.fcntl(this.number, F_DUPFD_CLOEXEC, 0);
  }

  get flags(): number {
    return system.fcntl(this.number, F_GETFL, 0);
  }

  get position(): number {
    return Number(system.lseek(this.number, 0n, 1));
  }

  /** What is there now, as text; "" at the end, null when there is nothing yet. */
  take(most = 65536): string | null {
    const asked = new Int32Array([this.number, 1]); // `struct pollfd`: readable?
    if (system.poll(new Uint8Array(asked.buffer), 1n, 0) === 0) return null;
    const buffer = new Uint8Array(most);
    const count = libc().read(this.number, buffer, BigInt(most));
    return count < 0 ? null : new TextDecoder().decode(buffer.subarray(0, count));
  }

  put(text: string): number {
    const bytes = new TextEncoder().encode(text);
    return libc().write(this.number, bytes, BigInt(bytes.length));
  }

  /** Fills what lies between it and its reader; returns how many bytes. Its descriptor must not block. */
  fill(): number {
    const bytes = new Uint8Array(4096);
    let total = 0;
    for (let count = 0; count >= 0; total += Math.max(count, 0)) {
      count = libc().write(this.number, bytes, 4096n);
    }
    return total;
  }

  close(): void {
    if (this.number >= 0) libc().close(this.number);
    this.number = -1;
  }

  [Symbol.dispose](): void {
    this.close();
  }
}

/** `blocks`: of both ends. */
export function pipe({ blocks = false } = {}): [reader: Own, writer: Own] {
  const both = new Int32Array(2);
  system.pipe2(new Uint8Array(both.buffer), O_CLOEXEC | (blocks ? 0 : O_NONBLOCK));
  return [new Own(both[0]), new Own(both[1])];
}

export function socketPair({ blocks = false } = {}): [Own, Own] {
  const both = new Int32Array(2);
  const type = 1 | O_CLOEXEC | (blocks ? 0 : O_NONBLOCK);
  system.socketpair(1, type, 0, new Uint8Array(both.buffer));
  return [new Own(both[0]), new Own(both[1])];
}

/** `user`: what somebody sees and types there, does not block. `terminal` is a program's, and does. */
export function terminal(): { user: Own; terminal: Own } {
  const user = new Own(system.posix_openpt(O_RDWR | O_NONBLOCK | 0o400 | O_CLOEXEC));
  system.grantpt(user.number);
  system.unlockpt(user.number);
  const name = new Uint8Array(64);
  system.ptsname_r(user.number, name, 64n);
  const path = new TextDecoder().decode(name.subarray(0, name.indexOf(0)));
  return { user, terminal: openPath(path, O_RDWR | 0o400) };
}

export function openPath(path: string, flags: number): Own {
  return new Own(libc().open(cString(path), flags | O_CLOEXEC));
}

/** Calls it as somebody else, who may open nothing of ours; for root. */
export function asSomebodyElse<T>(call: () => T): T {
  system.setfsuid(12345);
  try {
    return call();
  } finally {
    system.setfsuid(0);
  }
}

/** All that are open here, by number, with what they lead to. */
export function openDescriptors(): Map<string, string> {
  const found = new Map<string, string>();
  for (const { name } of Deno.readDirSync("/proc/self/fd")) {
    try {
      found.set(name, Deno.readLinkSync(`/proc/self/fd/${name}`));
    } catch {
      // That of the directory itself.
    }
  }
  return found;
}
