/** One direction of bytes in memory: what joins two contexts of one process, or a service to what reads like a process. */
import { HoldfastError } from "./errors.ts";
import type { ByteSink, ByteSource } from "./host.ts";

/** Bounded: holds at most one write, so that a stalled reader stops the writer. */
export class BytePipe implements ByteSource, ByteSink {
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

  /** What was written can still be read. */
  end(): void {
    this.#ended = true;
    this.#tell();
  }

  // deno-lint-ignore require-await
  async close(): Promise<void> {
    this.end();
  }

  cancel(): void {
    this.#bytes = null;
    this.end();
  }

  #change(): Promise<void> {
    return new Promise((resolve) => this.#changed.push(resolve));
  }

  #tell(): void {
    for (const resolve of this.#changed.splice(0)) resolve();
  }
}
