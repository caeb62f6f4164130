/**
 * Reads files and trees from a host and writes them as one stream. Runs in the client for `put` and in the
 * remote context for `fetch`.
 */
import { ContentDigest } from "./content_digest.ts";
import { HoldfastError } from "../core/errors.ts";
import type { ByteSink, Host, OpenFile } from "../core/host.ts";
import { QuickFiles, runtimeFiles } from "./quick_files.ts";
import type { Found } from "./runtime_files.ts";
import {
  BLOCK,
  DATA,
  END_OF_FILE,
  type TreeEntry,
  type TreeEvents,
  type TreeTotals,
  TreeWriter,
} from "./tree_format.ts";

/** Entries prepared ahead of the stream, and the largest file whose content is among them. */
const AHEAD = 32;
const SMALL = 256 * 1024;
const EMPTY = new Uint8Array(0);

/** Something that content is read from: an open file, or standard input. */
export type Readable = Pick<OpenFile, "read">;

export interface SendTreeOptions extends TreeEvents {
  host: Host;
  /** Paths, or content without a name. */
  sources: readonly (string | Readable)[];
}

interface Item {
  source: string | Readable;
  name: string | number;
}

/** An entry that is ready to be sent. */
interface Prepared {
  path: string;
  entry: TreeEntry;
  names: string[];
  /** The whole content of a small file. */
  content: Uint8Array | null;
  input: Readable | null;
}

/** Sends all sources and closes the sink. Rejects with what the host or the sink says. */
export async function sendTree(sink: ByteSink, options: SendTreeOptions): Promise<TreeTotals> {
  const sender = new Sender(new TreeWriter(sink), options);
  return await sender.run();
}

/**
 * - Ordered: a directory comes before its content.
 * - Bounded: at most {@linkcode AHEAD} small files, and one more for each level, are held in memory.
 */
class Sender {
  readonly #writer: TreeWriter;
  readonly #options: SendTreeOptions;
  readonly #quick: QuickFiles;
  readonly #totals: TreeTotals = { files: 0, directories: 0, links: 0, bytes: 0, skipped: 0 };
  #ahead = 0;

  constructor(writer: TreeWriter, options: SendTreeOptions) {
    this.#writer = writer;
    this.#options = options;
    this.#quick = new QuickFiles(runtimeFiles(options.host));
  }

  async run(): Promise<TreeTotals> {
    await this.#level(this.#options.sources.map((source, name) => ({ source, name })), 0);
    await this.#writer.close();
    return this.#totals;
  }

  async #level(items: Item[], depth: number): Promise<void> {
    const ready: Promise<Prepared>[] = [];
    let next = 0;
    try {
      while (next < items.length || ready.length > 0) {
        while (next < items.length && (ready.length === 0 || this.#ahead < AHEAD)) {
          this.#ahead++;
          const prepared = this.#prepare(items[next++], depth);
          prepared.catch(() => {}); // Whoever awaits it in its turn gets the error.
          ready.push(prepared);
        }
        const prepared = await ready[0];
        ready.shift();
        this.#ahead--;
        await this.#send(prepared);
      }
    } finally {
      await Promise.allSettled(ready);
      this.#ahead -= ready.length;
    }
  }

  async #prepare({ source, name }: Item, depth: number): Promise<Prepared> {
    const entry: TreeEntry = { type: "file", depth, name, mode: null, mtime: null };
    const prepared: Prepared = {
      path: "-",
      entry,
      names: [],
      content: null,
      input: null,
    };
    if (typeof source !== "string") return { ...prepared, input: source };
    const found = await this.#look(source).catch((error) => {
      throw `${name}`.includes("\ufffd") ? notText(source) : error;
    });
    const { type, mode, mtime, size, names = [], target } = found;
    if (target?.includes("\ufffd")) throw notText(source);
    Object.assign(entry, { type, mode, mtime, target });
    prepared.path = source;
    prepared.names = names;
    if (type === "file") {
      entry.size = size;
      if (found.content) prepared.content = found.content;
      else if (size <= SMALL) prepared.content = await this.#readWhole(source, size);
    }
    return prepared;
  }

  async #look(path: string): Promise<Found> {
    const quick = this.#quick.look(path, SMALL);
    if (quick) return quick;
    const { host } = this.#options;
    const found: Found = await host.lstat(path);
    if (found.type === "directory") found.names = await host.readDir(path);
    if (found.type === "symlink") found.target = await host.readLink(path);
    return found;
  }

  /** Null when a file is not empty though it said so, as those of /proc do. */
  async #readWhole(path: string, size: number): Promise<Uint8Array | null> {
    const file = await this.#options.host.openRead(path);
    try {
      const bytes = await fill(file, new Uint8Array(size || 1));
      return bytes.length > size ? null : bytes;
    } finally {
      await file.close();
    }
  }

  async #send({ path, entry, names, content, input }: Prepared): Promise<void> {
    const { type, depth } = entry;
    const totals = this.#totals;
    if (type === "other" && depth === 0) {
      const text = `Cannot copy ${JSON.stringify(path)}: it is no file, directory or link`;
      throw new HoldfastError("io", text);
    }
    await this.#writer.entry(entry, content ?? undefined);
    if (type === "symlink") totals.links++;
    else if (type === "other") {
      totals.skipped++;
      this.#options.onSkip?.(path);
    } else if (type === "directory") {
      totals.directories++;
      const above = path.endsWith("/") ? path : path + "/";
      await this.#level(names.map((name) => ({ source: above + name, name })), depth + 1);
    } else {
      totals.files++;
      if (content) this.#count(path, content.length, content.length);
      else if (input) await this.#stream(path, input, null);
      else {
        const file = this.#quick.open(await this.#options.host.openRead(path));
        try {
          await this.#stream(path, file, entry.size ?? null);
        } finally {
          await file.close();
        }
      }
    }
  }

  /** Reads the next block while the one before is sent, into two buffers in turn: sending copies. */
  async #stream(path: string, file: Readable, size: number | null): Promise<void> {
    await this.#writer.flush();
    const digest = await ContentDigest.begin();
    let done = 0;
    const buffers = [new Uint8Array(BLOCK), new Uint8Array(BLOCK)];
    let next = fill(file, buffers[0]);
    try {
      for (let block = await next; block.length > 0; block = await next) {
        buffers.reverse();
        next = block.length < BLOCK ? Promise.resolve(EMPTY) : fill(file, buffers[0]);
        next.catch(() => {});
        digest.update(block);
        await this.#writer.record(DATA, block);
        this.#count(path, block.length, done += block.length, size);
      }
    } finally {
      await next.catch(() => {});
    }
    await this.#writer.record(END_OF_FILE, digest.value());
  }

  #count(path: string, bytes: number, done: number, size: number | null = done): void {
    this.#totals.bytes += bytes;
    this.#options.onProgress?.({ path, done, size, totals: this.#totals });
  }
}

/** Reads until `buffer` is full or the end; resolves with what was read. */
async function fill(file: Readable, buffer: Uint8Array): Promise<Uint8Array> {
  let filled = 0;
  while (filled < buffer.length) {
    const count = await file.read(buffer.subarray(filled));
    if (count === null) break;
    filled += count;
  }
  return buffer.subarray(0, filled);
}

/** The runtimes give such names with U+FFFD in place of the bytes, which leads nowhere. */
function notText(path: string): HoldfastError {
  return new HoldfastError(
    "io",
    `Cannot copy ${JSON.stringify(path)}: its name is not valid UTF-8`,
  );
}
