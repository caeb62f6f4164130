/** Waits for descriptors: one thread for all of them (epoll). For `descriptor.ts` and `control_socket.ts`. */
import { libc, O_CLOEXEC, O_NONBLOCK } from "./libc.ts";

const EPOLL_CTL_ADD = 1;
const EPOLL_CTL_DEL = 2;
const EPOLL_CTL_MOD = 3;
const EVENTS = { read: 0x1, write: 0x4 };
const EPOLLONESHOT = 1 << 30;

/** `struct epoll_event` is packed on x86-64 only. */
const EVENT = Deno.build.arch === "x86_64" ? { size: 12, data: 4 } : { size: 16, data: 8 };
/** Events taken at once. */
const MANY = 64;

export class Readiness {
  readonly #epoll: number;
  /** Ends the thread's wait. */
  readonly #wake: number;
  readonly #waiting: Map<number, PromiseWithResolvers<void>> = new Map();
  readonly #known: Set<number> = new Set();
  #thread: Promise<void> | null = null;
  #isClosed = false;

  constructor() {
    this.#epoll = libc().epoll_create1(O_CLOEXEC);
    this.#wake = libc().eventfd(0, O_CLOEXEC | O_NONBLOCK);
    if (this.#epoll < 0 || this.#wake < 0) throw new Error("Cannot wait for descriptors");
    this.#control(EPOLL_CTL_ADD, this.#wake, EVENTS.read);
  }

  /**
   * Resolves when the descriptor can be read or written, has ended, or is forgotten; at once where it cannot be waited
   * for, as with files. Several may wait for one descriptor, for the same. Who closes it may not wait afterwards: its
   * number may be another's.
   */
  async wait(descriptor: number, what: "read" | "write"): Promise<void> {
    if (this.#isClosed) return;
    const others = this.#waiting.get(descriptor);
    if (others) return await others.promise;
    const action = this.#known.has(descriptor) ? EPOLL_CTL_MOD : EPOLL_CTL_ADD;
    if (!this.#control(action, descriptor, EVENTS[what] | EPOLLONESHOT)) return;
    this.#known.add(descriptor);
    this.#thread ??= this.#watch();
    const waiting = Promise.withResolvers<void>();
    this.#waiting.set(descriptor, waiting);
    await waiting.promise;
  }

  /** To be called before the descriptor is closed. */
  forget(descriptor: number): void {
    if (this.#known.delete(descriptor)) this.#control(EPOLL_CTL_DEL, descriptor, 0);
    this.#release(descriptor);
  }

  /** All waits end. */
  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    libc().write(this.#wake, new Uint8Array([1, 0, 0, 0, 0, 0, 0, 0]), 8n);
    await this.#thread;
    for (const descriptor of [...this.#waiting.keys()]) this.#release(descriptor);
    libc().close(this.#wake);
    libc().close(this.#epoll);
  }

  async #watch(): Promise<void> {
    const events = new DataView(new ArrayBuffer(MANY * EVENT.size));
    const buffer = new Uint8Array(events.buffer);
    while (!this.#isClosed) {
      const count = await libc().epoll_wait(this.#epoll, buffer, MANY, -1);
      for (let index = 0; index < count; index++) {
        this.#release(events.getInt32(index * EVENT.size + EVENT.data, true));
      }
    }
  }

  #release(descriptor: number): void {
    const waiting = this.#waiting.get(descriptor);
    this.#waiting.delete(descriptor);
    waiting?.resolve();
  }

  #control(action: number, descriptor: number, events: number): boolean {
    const event = new DataView(new ArrayBuffer(EVENT.size));
    event.setUint32(0, events, true);
    event.setInt32(EVENT.data, descriptor, true);
    return libc().epoll_ctl(this.#epoll, action, descriptor, new Uint8Array(event.buffer)) === 0;
  }
}
