/** Makes many small files durable together, before the tree that they are in is put in its place. For `tree_receiver.ts`. */
import type { Host } from "../core/host.ts";
import type { Written } from "./runtime_files.ts";

/** Files that are open at once; a process may have as few as a thousand. */
const FULL = 512;
/** Below this, one by one is quicker. */
const FEW = 16;
/** Bytes of other programs that may wait to be written, for them to be written along. */
const OTHERS = 64 * 1024 * 1024;

/**
 * Files that are written and not yet durable.
 *
 * - In one go, by `sync -f`, where little else waits to be written: on some file systems (ext4 without a journal) each
 *   fsync costs several writes. While others write much, where that cannot be known or where it fails: one by one, so
 *   that nobody waits for data that is not ours.
 */
export class SyncBatch {
  readonly #host: Host;
  #files: Written[] = [];
  #bytes = 0;
  #running: Promise<void> = Promise.resolve();

  constructor(host: Host) {
    this.#host = host;
  }

  /** Takes over `file`, of `bytes`; `path` is any path on its file system. */
  async add(file: Written, { bytes, path }: { bytes: number; path: string }): Promise<void> {
    this.#files.push(file);
    this.#bytes += bytes;
    if (this.#files.length >= FULL) await this.sync(path);
  }

  /** Resolves when all files that were added are durable. */
  async sync(path: string): Promise<void> {
    const { files, bytes } = this.#take();
    const before = this.#running;
    this.#running = (async () => {
      try {
        await before;
        const few = files.length < FEW;
        if (few || !await this.#syncAll(path, bytes)) {
          await Promise.all(files.map((file) => file.sync()));
        }
      } finally {
        for (const file of files) file.close();
      }
    })();
    await this.#running;
  }

  /** Gives up what is not durable yet. */
  close(): void {
    for (const file of this.#take().files) file.close();
  }

  #take(): { files: Written[]; bytes: number } {
    const taken = { files: this.#files, bytes: this.#bytes };
    this.#files = [];
    this.#bytes = 0;
    return taken;
  }

  async #syncAll(path: string, bytes: number): Promise<boolean> {
    try {
      if (await this.#waiting() > OTHERS + bytes) return false;
      const child = await this.#host.spawn({ command: ["sync", "-f", "--", path] });
      void child.stdin.close();
      child.stdout.cancel();
      child.stderr.cancel();
      return (await child.exit).code === 0;
    } catch {
      return false;
    }
  }

  /** Bytes in the kernel's memory that wait for a disk; only Linux tells, whose sync waits for the disk, too. */
  async #waiting(): Promise<number> {
    const file = await this.#host.openRead("/proc/meminfo");
    try {
      const buffer = new Uint8Array(4096);
      const text = new TextDecoder().decode(buffer.subarray(0, await file.read(buffer) ?? 0));
      const [, dirty, writeback] = /^Dirty: +(\d+) kB\nWriteback: +(\d+) kB$/m.exec(text)!;
      return (+dirty + +writeback) * 1024;
    } finally {
      await file.close();
    }
  }
}
