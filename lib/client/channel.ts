/** A place for events: handed to remote functions as an argument, where it is a sender, and read here. */
import { CHANNEL, type ChannelEnd, type Sender } from "../calls/parcel.ts";

/**
 * What functions send arrives in the order of each sender. Not read, it holds the senders back: one window (1 MiB) each.
 * A sender ends with the call that it was an argument of; the channel ends when it is closed and they have all ended, so
 * `call.finally(() => channel.close())` loses nothing. Disposing of it drops what has not been read.
 */
export class Channel<T = unknown> implements Sender<T>, AsyncIterable<T>, Disposable {
  readonly [CHANNEL]: ChannelEnd;
  readonly #sources: Set<AsyncIterator<unknown>> = new Set();
  /** Taken from a source and not yet read, with the way to let that source go on. */
  readonly #waiting: { item: T; taken: () => void }[] = [];
  #wake: () => void = () => {};
  #closed = false;

  constructor() {
    this[CHANNEL] = { attach: (items) => void this.#attach(items) };
  }

  /** An event of one's own; resolves when it has been read. */
  send(item: T): Promise<void> {
    return new Promise((taken) => {
      this.#waiting.push({ item, taken });
      this.#wake();
    });
  }

  /** No more calls will be handed it. Idempotent. */
  close(): Promise<void> {
    this.#closed = true;
    this.#wake();
    return Promise.resolve();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<T, void> {
    for (;;) {
      const next = this.#waiting.shift();
      if (next) {
        next.taken();
        yield next.item;
      } else if (this.#closed && this.#sources.size === 0) return;
      else await new Promise<void>((resolve) => this.#wake = resolve);
    }
  }

  [Symbol.dispose](): void {
    void this.close();
    for (const source of this.#sources) void source.return?.();
    for (const { taken } of this.#waiting.splice(0)) taken();
  }

  async #attach(items: AsyncIterable<unknown>): Promise<void> {
    const source = items[Symbol.asyncIterator]();
    this.#sources.add(source);
    try {
      for (let next = await source.next(); !next.done; next = await source.next()) {
        await this.send(next.value as T);
      }
    } catch {
      // A context that went away is told by the calls that it had.
    }
    this.#sources.delete(source);
    this.#wake();
  }
}
