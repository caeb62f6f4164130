/**
 * The records of one stream that carries whole trees, depth first: `type u8, length u32, payload`.
 * An entry is named by its depth and one path component, never by a path, so none can lead elsewhere.
 * Written by `tree_sender.ts`, read by `tree_receiver.ts` and by a fetch to standard output.
 */
import { sha256 } from "./content_digest.ts";
import { HoldfastError } from "../core/errors.ts";
import type { ByteSink, FileType } from "../core/host.ts";
import { decodeJson, encodeJson, type JsonObject } from "../core/json.ts";
import { LIMITS } from "../core/limits.ts";

/**
 * Entries and the content of small files: SHA-256 of what follows it, `length u32` of JSON
 * `{entries: TreeEntry[]}`, that JSON, the content of each file that is `whole`, in order.
 */
export const PACK = 1;
/** Content of the file that the last pack ended with. */
export const DATA = 2;
/** The end of that file: its digest, see `content_digest.ts`. */
export const END_OF_FILE = 3;
/** Nothing follows. */
export const END_OF_TREE = 4;

/** Bytes of content that are read and sent at once. */
export const BLOCK = 256 * 1024;
/** Bytes of a record that are taken. */
export const MAX_RECORD = 1024 * 1024;
/** Of a record. */
const HEADER = 5;
/** Of a pack. */
const PREFIX = 36;
/** Bytes after which a pack is sent; the file that it ends with may be longer. */
const PACKED = LIMITS.chunk;
/** About what an entry takes in a pack. */
const ENTRY_SIZE = 256;
const EMPTY = new Uint8Array(0);

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
  /** Bytes that a file seemed to have; its content decides, unless it is whole. */
  size?: number;
  /** All of the file's content is in the pack; otherwise DATA and END_OF_FILE follow. */
  whole?: boolean;
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

/** Gathers entries, so that a thousand small files do not become three thousand frames and digests. */
export class TreeWriter {
  readonly #sink: ByteSink;
  #entries: TreeEntry[] = [];
  #contents: Uint8Array[] = [];
  #gathered = 0;
  /** The pack on its way; its failure is told to whoever sends the next record. */
  #sending: Promise<void> = Promise.resolve();

  constructor(sink: ByteSink) {
    this.#sink = sink;
  }

  /** `content`: all of it, of a small file. What follows without it is the file's records. */
  async entry(entry: TreeEntry, content?: Uint8Array): Promise<void> {
    this.#entries.push(content ? { ...entry, size: content.length, whole: true } : entry);
    if (content) this.#contents.push(content);
    this.#gathered += ENTRY_SIZE + (content ?? entry.target ?? EMPTY).length;
    if (this.#gathered >= PACKED) await this.#send();
  }

  async record(type: number, payload: Uint8Array = EMPTY): Promise<void> {
    await this.flush();
    await this.#sink.write(header(type, payload.length));
    if (payload.length > 0) await this.#sink.write(payload);
  }

  /** Ends the tree and closes the sink. */
  async close(): Promise<void> {
    await this.record(END_OF_TREE);
    await this.#sink.close();
  }

  /** Sends what was gathered: for when more may be long in coming. */
  async flush(): Promise<void> {
    await this.#send();
    await this.#sending;
  }

  /** One pack is hashed and sent while the next one is gathered. */
  async #send(): Promise<void> {
    await this.#sending;
    if (this.#entries.length === 0) return;
    const pack = packed(this.#entries, this.#contents);
    this.#entries = [];
    this.#contents = [];
    this.#gathered = 0;
    this.#sending = sha256(pack.subarray(HEADER + PREFIX - 4)).then((digest) => {
      pack.set(digest, HEADER);
      return this.#sink.write(pack);
    });
    this.#sending.catch(() => {});
  }
}

/** The record, with room for the digest. */
function packed(entries: TreeEntry[], contents: Uint8Array[]): Uint8Array {
  const json = encodeJson({ entries } as unknown as JsonObject);
  const parts = [json, ...contents];
  const size = parts.reduce((sum, { length }) => sum + length, PREFIX);
  const pack = new Uint8Array(HEADER + size);
  pack.set(header(PACK, size));
  new DataView(pack.buffer).setUint32(HEADER + PREFIX - 4, json.length);
  let at = HEADER + PREFIX;
  for (const part of parts) {
    pack.set(part, at);
    at += part.length;
  }
  return pack;
}

function header(type: number, length: number): Uint8Array {
  const bytes = new Uint8Array(HEADER);
  bytes[0] = type;
  new DataView(bytes.buffer).setUint32(1, length);
  return bytes;
}

export interface TreeRecord {
  type: number;
  payload: Uint8Array;
}

/** Cuts a stream into records. Holds at most one. Content is passed on as it comes, in pieces of type DATA. */
export class TreeReader {
  readonly #source: { read(): Promise<Uint8Array | null> };
  #chunk: Uint8Array = new Uint8Array(0);
  /** What is still to come of a record of content. */
  #content = 0;

  constructor(source: { read(): Promise<Uint8Array | null> }) {
    this.#source = source;
  }

  /** The next record. Throws `protocol` when the stream ends before the tree, `limit` when it is too long. */
  async next(): Promise<TreeRecord> {
    if (this.#content > 0) return await this.#piece();
    const header = await this.#take(HEADER);
    const length = new DataView(header.buffer, header.byteOffset).getUint32(1);
    if (length > MAX_RECORD) {
      throw new HoldfastError("limit", `Cannot read tree: a record of ${length} bytes is too long`);
    }
    const [type] = header;
    if (type === DATA && length > 0) {
      this.#content = length;
      return await this.#piece();
    }
    return { type, payload: await this.#take(length) };
  }

  async #piece(): Promise<TreeRecord> {
    if (this.#chunk.length === 0) this.#chunk = await this.#read();
    const payload = this.#chunk.subarray(0, this.#content);
    this.#chunk = this.#chunk.subarray(payload.length);
    this.#content -= payload.length;
    return { type: DATA, payload };
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
      this.#chunk = await this.#read();
    }
  }

  async #read(): Promise<Uint8Array> {
    const chunk = await this.#source.read();
    if (chunk !== null) return chunk;
    throw new HoldfastError("protocol", "Cannot read tree: its sender ended in the middle");
  }
}

/** An entry as it came; `content` is all of it. */
export interface PackedEntry {
  entry: TreeEntry;
  content: Uint8Array | null;
}

/** Opens a pack. Throws `corrupt` or `protocol`; its entries are still to be checked. */
export async function unpack(pack: Uint8Array): Promise<PackedEntry[]> {
  if (pack.length < PREFIX) throw malformed();
  const digest = await sha256(pack.subarray(PREFIX - 4));
  if (digest.some((byte, at) => byte !== pack[at])) {
    throw new HoldfastError("corrupt", "Cannot read tree: it was damaged on the way");
  }
  let at = PREFIX + new DataView(pack.buffer, pack.byteOffset).getUint32(PREFIX - 4);
  const { entries } = decodeJson(pack.subarray(PREFIX, at)) as unknown as { entries: TreeEntry[] };
  if (!Array.isArray(entries)) throw malformed();
  return entries.map((entry) => {
    if (!entry?.whole) return { entry, content: null };
    const content = pack.subarray(at, at += entry.size!);
    if (content.length !== entry.size) throw malformed();
    return { entry, content };
  });
}

/** Checks an entry. Throws `protocol` or, for a name that could lead elsewhere, `refused`. */
export function checkEntry(entry: TreeEntry, stackDepth: number): TreeEntry {
  const { depth, name, mode, mtime } = entry ?? {};
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
