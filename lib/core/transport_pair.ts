/** Two transports joined in memory: a context inside this process (direct targets), and links in tests. */
import type { Transport } from "./host.ts";
import { HoldfastError } from "./errors.ts";

/** One direction; holds at most one write, so that a stalled reader stops the writer. */
class Pipe {
  #bytes: Uint8Array | null = null;
  #ended = false;
  #changed: (() => void)[] = [];

  async read(): Promise<Uint8Array | null> {
    while (!this.#bytes && !this.#ended) await this.#change();
    const bytes = this.#bytes;
    this.#bytes = null;
    this.#tell();
    return bytes;
  }

  async write(bytes: Uint8Array): Promise<void> {
    while (this.#bytes && !this.#ended) await this.#change();
    if (this.#ended) throw new HoldfastError("disconnected", "the pipe is closed");
    if (bytes.length > 0) this.#bytes = bytes;
    this.#tell();
  }

  end(): void {
    this.#ended = true;
    this.#tell();
  }

  #change(): Promise<void> {
    return new Promise((resolve) => this.#changed.push(resolve));
  }

  #tell(): void {
    for (const resolve of this.#changed.splice(0)) resolve();
  }
}

export function transportPair(): [Transport, Transport] {
  const there = new Pipe();
  const back = new Pipe();
  const end = (incoming: Pipe, outgoing: Pipe): Transport => ({
    read: () => incoming.read(),
    write: (bytes) => outgoing.write(bytes),
    close() {
      incoming.end();
      outgoing.end();
    },
  });
  return [end(back, there), end(there, back)];
}
