/**
 * A TCP proxy on loopback that makes a local server as far away as a test or the bench wants. It is a
 * delay line, not stop-and-wait: throughput is bounded by its buffer only.
 */

/** What the proxy does to the bytes. */
export interface DelayProxyOptions {
  /** Port of the server on 127.0.0.1. */
  port: number;
  /** One-way delay of each direction in ms: 15 makes a round trip of 30. Default 0. */
  delay?: number;
  /** Bytes in flight per connection and direction, beyond which the sender must wait. Default 64 MiB. */
  capacity?: number;
}

/** Starts a proxy; it listens when this returns. */
export function startDelayProxy(options: DelayProxyOptions): DelayProxy {
  return new DelayProxy(options);
}

/**
 * - FIFO: each direction delivers its bytes in order, each at least `delay` ms after it came in
 * - faithful: the end of a direction travels the same way, so half-closed connections work
 * - a new connection costs one more round trip, as TCP's handshake over that distance would
 */
export class DelayProxy implements AsyncDisposable {
  readonly port: number;
  /** Bytes delivered to the server so far. */
  bytesToServer = 0;
  /** Bytes delivered to clients so far. */
  bytesToClient = 0;
  /** Connections accepted so far. */
  accepted = 0;

  readonly #options: Required<DelayProxyOptions>;
  readonly #listener: Deno.TcpListener;
  readonly #tunnels = new Set<Tunnel>();
  readonly #accepting: Promise<void>;
  #thawed: PromiseWithResolvers<void> | undefined;
  #fuse: { direction: Direction; left: number; blown: () => void } | undefined;

  constructor(options: DelayProxyOptions) {
    this.#options = { delay: 0, capacity: 64 << 20, ...options };
    this.#listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    this.port = this.#listener.addr.port;
    this.#accepting = this.#accept();
  }

  /** Connections that are up now. */
  get connections(): number {
    return this.#tunnels.size;
  }

  /** Destroys every connection with all bytes in flight; new ones are still accepted. */
  async cut(): Promise<void> {
    const tunnels = [...this.#tunnels];
    for (const tunnel of tunnels) tunnel.destroy();
    await Promise.all(tunnels.map((tunnel) => tunnel.done));
  }

  /** Stops passing bytes in both directions, as a dead network does; connections stay up. */
  freeze(): void {
    this.#thawed ??= Promise.withResolvers();
  }

  /** Freezes when exactly `size` more bytes have passed in one direction; resolves then. */
  freezeAfter(direction: Direction, size: number): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#fuse = { direction, left: size, blown: resolve };
    return promise;
  }

  /** Passes on what was held back since {@linkcode freeze}, and everything after it. */
  thaw(): void {
    this.#thawed?.resolve();
    this.#thawed = undefined;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    try {
      this.#listener.close();
    } catch {
      // Disposed of before.
    }
    await this.#accepting;
    await this.cut();
  }

  async #accept(): Promise<void> {
    for await (const client of this.#listener) {
      this.accepted++;
      const tunnel = new Tunnel(client, {
        ...this.#options,
        gate: () => this.#thawed?.promise,
        most: (direction) => this.#fuse?.direction === direction ? this.#fuse.left : Infinity,
        onDelivered: (direction, size) => {
          if (direction === "toServer") this.bytesToServer += size;
          else this.bytesToClient += size;
          const fuse = this.#fuse;
          if (fuse?.direction !== direction || (fuse.left -= size) > 0) return;
          this.#fuse = undefined;
          this.freeze();
          fuse.blown();
        },
      });
      this.#tunnels.add(tunnel);
      tunnel.done.then(() => this.#tunnels.delete(tunnel));
    }
  }
}

/** Which way bytes go. */
export type Direction = "toServer" | "toClient";

interface TunnelOptions extends Required<DelayProxyOptions> {
  /** The promise to wait for while bytes must not pass. */
  gate(): Promise<void> | undefined;
  /** How many bytes may pass before the gate must be asked again. */
  most(direction: Direction): number;
  onDelivered(direction: Direction, size: number): void;
}

/** One client's connection with its counterpart; `done` resolves when both are closed. */
class Tunnel {
  readonly done: Promise<void>;
  readonly #options: TunnelOptions;
  readonly #destroyed = Promise.withResolvers<void>();
  readonly #connections: Deno.TcpConn[];
  readonly #sleepers = new Set<() => void>();
  #alive = true;

  constructor(client: Deno.TcpConn, options: TunnelOptions) {
    this.#options = options;
    this.#connections = [client];
    this.done = this.#run(client);
  }

  destroy(): void {
    if (!this.#alive) return;
    this.#alive = false;
    this.#destroyed.resolve();
    for (const wake of this.#sleepers) wake();
    for (const connection of this.#connections) connection.close();
  }

  async #run(client: Deno.TcpConn): Promise<void> {
    const { port, delay } = this.#options;
    client.setNoDelay(true);
    const opened = performance.now() + 3 * delay; // SYN, SYN-ACK, ACK
    try {
      await this.#until(opened);
      if (!this.#alive) return;
      const server = await Deno.connect({ hostname: "127.0.0.1", port });
      this.#connections.push(server);
      if (!this.#alive) return server.close();
      server.setNoDelay(true);
      await Promise.all([
        this.#pump(client, server, "toServer"),
        this.#pump(server, client, "toClient"),
      ]);
    } catch {
      // Either end broke off: so does the other.
    } finally {
      this.destroy();
    }
  }

  /** Carries one direction to its end. */
  async #pump(from: Deno.TcpConn, to: Deno.TcpConn, direction: Direction) {
    const line = new DelayLine(this.#options.capacity);
    const deliver = async () => {
      for (let item = await line.shift(); item; item = await line.shift()) {
        await this.#until(item.due);
        await this.#passage();
        for (let at = 0; at < item.bytes.length;) {
          const most = this.#options.most(direction);
          const size = await to.write(item.bytes.subarray(at, at + most));
          at += size;
          this.#options.onDelivered(direction, size);
          await this.#passage();
        }
        if (item.bytes.length === 0) await to.closeWrite();
      }
    };
    const collect = async () => {
      const buffer = new Uint8Array(256 << 10);
      let size: number | null;
      do {
        await this.#passage();
        await line.room();
        size = await from.read(buffer);
        line.push({
          due: performance.now() + this.#options.delay,
          bytes: buffer.slice(0, size ?? 0),
        });
      } while (size !== null);
      line.end();
    };
    this.#destroyed.promise.then(() => line.end());
    await Promise.all([deliver(), collect()]);
  }

  /** Waits while the proxy is frozen. */
  async #passage(): Promise<void> {
    for (let gate = this.#options.gate(); gate && this.#alive; gate = this.#options.gate()) {
      await Promise.race([gate, this.#destroyed.promise]);
    }
  }

  /** Waits for a moment of `performance.now()`, or for destruction. */
  async #until(moment: number): Promise<void> {
    for (let left = moment - performance.now(); left > 0 && this.#alive;) {
      const { promise, resolve } = Promise.withResolvers<void>();
      const timer = setTimeout(resolve, Math.floor(left)); // early by less than 1 ms, never late by it
      this.#sleepers.add(resolve);
      await promise;
      clearTimeout(timer);
      this.#sleepers.delete(resolve);
      left = moment - performance.now();
    }
  }
}

/** Bytes with the moment of their delivery; none mean the end of the direction. */
interface Item {
  readonly due: number;
  readonly bytes: Uint8Array;
}

/** FIFO of what is under way, with a bound that the collector waits for. */
class DelayLine {
  readonly #capacity: number;
  #items: Item[] = [];
  #head = 0;
  #size = 0;
  #ended = false;
  #changed = Promise.withResolvers<void>();

  constructor(capacity: number) {
    this.#capacity = capacity;
  }

  push(item: Item): void {
    this.#items.push(item);
    this.#size += item.bytes.length;
    this.#announce();
  }

  end(): void {
    this.#ended = true;
    this.#announce();
  }

  /** The next item, or undefined after the end. */
  async shift(): Promise<Item | undefined> {
    while (this.#head === this.#items.length && !this.#ended) await this.#changed.promise;
    if (this.#head === this.#items.length) return undefined;
    const item = this.#items[this.#head++];
    if (this.#head > 1024) {
      this.#items = this.#items.slice(this.#head);
      this.#head = 0;
    }
    this.#size -= item.bytes.length;
    this.#announce();
    return item;
  }

  /** Resolves when less than the capacity is under way. */
  async room(): Promise<void> {
    while (this.#size >= this.#capacity && !this.#ended) await this.#changed.promise;
  }

  #announce(): void {
    this.#changed.resolve();
    this.#changed = Promise.withResolvers();
  }
}
