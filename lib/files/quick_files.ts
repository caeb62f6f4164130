/**
 * The shortest way to files: system calls without a thread in between, which cost a tenth of it while the
 * kernel answers from memory. Used by both ends of a transfer, which take the host's way where there is none.
 */
import type { Host, OpenFile } from "../core/host.ts";
import { denoQuickFiles } from "./quick_files_deno.ts";
import { nodeQuickFiles } from "./quick_files_node.ts";
import type { Attributes, Found, RuntimeFiles, Written } from "./runtime_files.ts";

/** Milliseconds that an operation may take on average before the host's way is better. */
const QUICK = 1;
/** Operations that the average is taken over, and that it fades over while they go the host's way. */
const AVERAGED = 16;
const RECOVERY = 128;

/** Those of the host's runtime; null where files are not on this machine. */
export function runtimeFiles(host: Host): RuntimeFiles | null {
  if (host.runtime === "direct") return null;
  return host.runtime === "deno" ? denoQuickFiles(host) : nodeQuickFiles(host);
}

/**
 * The quick way of one transfer.
 *
 * - Considerate: a file system that is slow to answer (a network's, a busy disk's) gets it no longer, so that it
 *   does not hold up what else runs in this process.
 */
export class QuickFiles {
  readonly #files: RuntimeFiles | null;
  readonly #now: () => number;
  /** Milliseconds of an operation, on average. */
  #mean = 0;

  /** `now`: milliseconds of any clock. */
  constructor(files: RuntimeFiles | null, now: () => number = () => performance.now()) {
    this.#files = files;
    this.#now = now;
  }

  /** Null: look through the host. */
  look(path: string, limit: number): Found | null {
    return this.#run(this.#files && (() => this.#files!.look(path, limit))) ?? null;
  }

  /** Null: write through the host. */
  write(path: string, content: Uint8Array, attributes: Attributes): Written | null {
    return this.#run(this.#files && (() => this.#files!.write(path, content, attributes))) ?? null;
  }

  /** A large file that is read and written the quick way as long as there is one. */
  open(file: OpenFile): OpenFile {
    const { now } = file;
    if (!now) return file;
    return {
      ...file,
      read: async (buffer) => {
        const count = this.#run(() => now.read(buffer));
        return count === undefined ? await file.read(buffer) : count;
      },
      write: async (bytes) => {
        if (this.#run(() => (now.write(bytes), true)) === undefined) await file.write(bytes);
      },
    };
  }

  /** Undefined: it has to be done the host's way. */
  #run<T>(operation: (() => T) | null): T | undefined {
    if (!operation) return;
    if (this.#mean > QUICK) {
      this.#mean -= this.#mean / RECOVERY;
      return;
    }
    const start = this.#now();
    try {
      return operation();
    } finally {
      this.#mean += (this.#now() - start - this.#mean) / AVERAGED;
    }
  }
}
