/**
 * The records of one stream that carries whole trees, depth first: `type u8, length u32, payload`.
 * An entry is named by its depth and one path component, never by a path, so none can lead elsewhere.
 * Written by `tree_sender.ts`, read by `tree_receiver.ts` and by a fetch to standard output.
 */
import { HoldfastError } from "./errors.ts";
import type { ByteSink, FileType } from "./host.ts";
import { decodeJson, encodeJson, type JsonObject } from "./json.ts";
import { LIMITS } from "./limits.ts";

/** A {@linkcode TreeEntry} as JSON. A file's data and end follow its entry. */
export const ENTRY = 1;
/** Content of the current file: exactly {@linkcode BLOCK} bytes, less only in the last one. */
export const DATA = 2;
/** The end of the current file: its digest, see `content_digest.ts`. */
export const END_OF_FILE = 3;
/** Nothing follows. */
export const END_OF_TREE = 4;

/** Bytes of content that are hashed and written at once. */
export const BLOCK = 1024 * 1024;
const HEADER = 5;

export interface TreeEntry {
  /** `other` is only reported: nothing of it is sent. */
  type: FileType;
  /** 0 for what the user named, 1 for what lies in it, and so on. */
  depth: number;
  /** At depth 0 the index of the source; below that one path component. */
  name: string | number;
  /** Permission bits; null: the receiver's default, or those of the file it replaces. */
  mode: number | null;
  /** Milliseconds since the epoch; null: now. */
  mtime: number | null;
  /** Bytes that a file seemed to have; its content decides. */
  size?: number;
  /** Where a symlink leads. */
  target?: string;
}

export interface TreeTotals {
  files: number;
  directories: number;
  links: number;
  /** Content of the files. */
  bytes: number;
  /** Sockets, pipes and devices, which are not copied. */
  skipped: number;
}

/** What both ends tell whoever watches. */
export interface TreeEvents {
  /** After every file and every block of a larger one. */
  onProgress?(progress: TreeProgress): void;
  /** A socket, pipe or device was left out. */
  onSkip?(path: string): void;
}

export interface TreeProgress {
  /** The file that bytes were last copied of. */
  path: string;
  /** Bytes of it so far, and in all; null: unknown. */
  done: number;
  size: number | null;
  /** So far, the bytes of this file included. */
  totals: TreeTotals;
}

/** Gathers small records, so that a thousand small files do not become three thousand frames. */
export class TreeWriter {
  readonly #sink: ByteSink;
  readonly #buffer = new Uint8Array(LIMITS.chunk);
  #used = 0;

  constructor(sink: ByteSink) {
    this.#sink = sink;
  }

  entry(entry: TreeEntry): Promise<void> {
    return this.record(ENTRY, encodeJson(entry as unknown as JsonObject));
  }

  async record(type: number, payload: Uint8Array): Promise<void> {
    const header = new Uint8Array(HEADER);
    header[0] = type;
    new DataView(header.buffer).setUint32(1, payload.length);
    await this.#put(header);
    await this.#put(payload);
  }

  /** Ends the tree and closes the sink. */
  async close(): Promise<void> {
    await this.record(END_OF_TREE, new Uint8Array(0));
    await this.flush();
    await this.#sink.close();
  }

  async #put(bytes: Uint8Array): Promise<void> {
    if (this.#used + bytes.length > this.#buffer.length) await this.flush();
    if (bytes.length > this.#buffer.length) return this.#sink.write(bytes);
    this.#buffer.set(bytes, this.#used);
    this.#used += bytes.length;
  }

  /** Sends what was gathered: for when more may be long in coming. */
  async flush(): Promise<void> {
    const used = this.#used;
    this.#used = 0;
    if (used > 0) await this.#sink.write(this.#buffer.subarray(0, used));
  }
}

export interface TreeRecord {
  type: number;
  payload: Uint8Array;
}

/** Cuts a stream into records. Holds at most one. */
export class TreeReader {
  readonly #source: { read(): Promise<Uint8Array | null> };
  #chunk: Uint8Array = new Uint8Array(0);

  constructor(source: { read(): Promise<Uint8Array | null> }) {
    this.#source = source;
  }

  /** The next record. Throws `protocol` when the stream ends before the tree, `limit` when it is too long. */
  async next(): Promise<TreeRecord> {
    const header = await this.#take(HEADER);
    const length = new DataView(header.buffer, header.byteOffset).getUint32(1);
    if (length > BLOCK) {
      throw new HoldfastError("limit", `Cannot read tree: a record of ${length} bytes is too long`);
    }
    return { type: header[0], payload: await this.#take(length) };
  }

  async #take(size: number): Promise<Uint8Array> {
    let filled = 0;
    let whole: Uint8Array | null = null;
    for (;;) {
      const part = this.#chunk.subarray(0, size - filled);
      this.#chunk = this.#chunk.subarray(part.length);
      if (part.length === size) return part;
      whole ??= new Uint8Array(size);
      whole.set(part, filled);
      filled += part.length;
      if (filled === size) return whole;
      const chunk = await this.#source.read();
      if (chunk === null) {
        throw new HoldfastError("protocol", "Cannot read tree: its sender ended in the middle");
      }
      this.#chunk = chunk;
    }
  }
}

/** Checks and decodes an entry. Throws `protocol` or, for a name that could lead elsewhere, `refused`. */
export function decodeEntry(payload: Uint8Array, stackDepth: number): TreeEntry {
  const entry = decodeJson(payload) as unknown as TreeEntry;
  const { depth, name, mode, mtime } = entry;
  if (typeof name === "string" ? !/^(?!\.\.?$)[^/\0]+$/.test(name) : depth !== 0) {
    throw new HoldfastError("refused", `Cannot receive ${JSON.stringify(name)}: not a file's name`);
  }
  const known = ["file", "directory", "symlink", "other"].includes(entry.type);
  const isNumber = (value: unknown) => value === null || Number.isFinite(value);
  if (
    !known || !Number.isInteger(depth) || depth < 0 || depth > stackDepth ||
    (typeof name === "string") !== depth > 0 || !isNumber(mode) || !isNumber(mtime) ||
    (entry.type === "symlink" && typeof entry.target !== "string")
  ) throw new HoldfastError("protocol", "Cannot read tree: an entry is malformed");
  return { ...entry, mode: mode === null ? null : mode & 0o7777 };
}

export function malformed(): HoldfastError {
  return new HoldfastError("protocol", "Cannot read tree: a record is out of place");
}
