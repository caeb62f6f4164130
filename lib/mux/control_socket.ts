/** Unix sockets over which ssh hands us its standard streams. For `mux_sockets.ts`, which has one for each connection. */
import { HoldfastError } from "../core/errors.ts";
import {
  AF_UNIX,
  cString,
  EAGAIN,
  errno,
  libc,
  MSG_CMSG_CLOEXEC,
  MSG_DONTWAIT,
  MSG_NOSIGNAL,
  O_CLOEXEC,
  O_NONBLOCK,
  SCM_RIGHTS,
  SO_PEERCRED,
  SOCK_STREAM,
  SOL_SOCKET,
} from "./libc.ts";
import type { Readiness } from "./readiness.ts";

const CHUNK = 64 * 1024;
/** Descriptors that one message may carry; the system closes what is over that. */
const MANY = 8;
/** Descriptors that may lie here, taken by nobody. */
const UNTAKEN = 16;
/** `struct cmsghdr` before the descriptors. */
const CMSG_HEADER = 16;

/** Listens at a path, which it removes in the end. */
export class ControlListener {
  readonly path: string;
  readonly #readiness: Readiness;
  readonly #number: number;
  #isClosed = false;

  /** Throws `io` where nothing can listen at the path. */
  constructor(
    path: string,
    { readiness, onAccept }: { readiness: Readiness; onAccept: (socket: ControlSocket) => void },
  ) {
    this.path = path;
    this.#readiness = readiness;
    this.#number = libc().socket(AF_UNIX, SOCK_STREAM | O_NONBLOCK | O_CLOEXEC, 0);
    const name = cString(path);
    const address = new Uint8Array(2 + name.length);
    new DataView(address.buffer).setUint16(0, AF_UNIX, true);
    address.set(name, 2);
    const before = Deno.umask(0o177);
    const bound = libc().bind(this.#number, address, address.length);
    Deno.umask(before);
    if (bound < 0 || libc().listen(this.#number, 128) < 0) {
      const why = errno();
      libc().close(this.#number);
      throw new HoldfastError("io", `Cannot listen on ${JSON.stringify(path)}: error ${why}`);
    }
    void this.#acceptAll(onAccept);
  }

  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    try {
      Deno.removeSync(this.path);
    } catch {
      // Somebody has tidied up.
    }
    this.#readiness.forget(this.#number);
    libc().close(this.#number);
  }

  async #acceptAll(onAccept: (socket: ControlSocket) => void): Promise<void> {
    while (!this.#isClosed) {
      await this.#readiness.wait(this.#number, "read");
      if (this.#isClosed) return;
      const accepted = libc().accept4(this.#number, null, null, O_NONBLOCK | O_CLOEXEC);
      if (accepted >= 0) onAccept(new ControlSocket(accepted, this.#readiness));
      // Out of descriptors: until some have been closed.
      else if (errno() !== EAGAIN) await new Promise((resolve) => setTimeout(resolve, 100));
    }
  }
}

/** One that was accepted. */
export class ControlSocket {
  /** Handed over by the other side and not taken yet, in order. Whoever takes one closes it. */
  readonly descriptors: number[] = [];
  readonly #readiness: Readiness;
  readonly #number: number;
  readonly #bytes: Uint8Array<ArrayBuffer> = new Uint8Array(CHUNK);
  readonly #control: DataView<ArrayBuffer> = new DataView(new ArrayBuffer(CMSG_HEADER + 4 * MANY));
  /** `struct iovec`; keeps {@linkcode #bytes} where it is. */
  readonly #vector: BigUint64Array<ArrayBuffer>;
  #isClosed = false;

  constructor(number: number, readiness: Readiness) {
    this.#number = number;
    this.#readiness = readiness;
    this.#vector = new BigUint64Array(new ArrayBuffer(16)); // small ones are moved about otherwise
    this.#vector.set([addressOf(this.#bytes), BigInt(CHUNK)]);
  }

  /** What has come; null at the end, and after more descriptors than anybody wants. */
  /** The process that connected. */
  get peer(): number {
    const credentials = new Int32Array(new ArrayBuffer(12)); // process, user, group
    const size = new Uint32Array(new ArrayBuffer(4)).fill(12);
    const [bytes, length] = [credentials, size].map(({ buffer }) => new Uint8Array(buffer));
    libc().getsockopt(this.#number, SOL_SOCKET, SO_PEERCRED, bytes, length);
    return credentials[0];
  }

  /** What has come; null at the end. */
  async read(): Promise<Uint8Array | null> {
    for (;;) {
      if (this.#isClosed) return null;
      const count = this.#receive();
      if (this.descriptors.length > UNTAKEN) return null;
      if (count > 0) return this.#bytes.slice(0, count);
      if (count === 0 || errno() !== EAGAIN) return null;
      await this.#readiness.wait(this.#number, "read");
    }
  }

  /** Short messages only: one that the other side has no room for ends the connection. */
  write(bytes: Uint8Array<ArrayBuffer>): void {
    if (this.#isClosed) return;
    const count = libc().send(
      this.#number,
      bytes,
      BigInt(bytes.length),
      MSG_DONTWAIT | MSG_NOSIGNAL,
    );
    if (count !== bytes.length) this.close();
  }

  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    for (const descriptor of this.descriptors.splice(0)) libc().close(descriptor);
    this.#readiness.forget(this.#number);
    libc().close(this.#number);
  }

  #receive(): number {
    const control = new Uint8Array(this.#control.buffer);
    // `struct msghdr`: no name, one vector, and room for descriptors.
    const header = new BigUint64Array(new ArrayBuffer(56));
    header.set([0n, 0n, addressOf(this.#vector), 1n, addressOf(control), BigInt(control.length)]);
    const bytes = new Uint8Array(header.buffer);
    const count = libc().recvmsg(this.#number, bytes, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    if (count >= 0) this.#collect(Number(header[5]));
    return count;
  }

  /** `length`: bytes of control messages. */
  #collect(length: number): void {
    for (let at = 0; at + CMSG_HEADER <= length;) {
      const size = Number(this.#control.getBigUint64(at, true));
      const isRights = this.#control.getInt32(at + 8, true) === SOL_SOCKET &&
        this.#control.getInt32(at + 12, true) === SCM_RIGHTS;
      if (size < CMSG_HEADER) return;
      for (let next = at + CMSG_HEADER; isRights && next + 4 <= at + size; next += 4) {
        this.descriptors.push(this.#control.getInt32(next, true));
      }
      at += (size + 7) & ~7;
    }
  }
}

function addressOf(buffer: Uint8Array<ArrayBuffer> | BigUint64Array<ArrayBuffer>): bigint {
  return BigInt(Deno.UnsafePointer.value(Deno.UnsafePointer.of(buffer)));
}
