/**
 * Bounded lines of bytes from a source, for the relay: its lines come from anybody, may have no end and need not
 * be text. The standard library's line stream has no bound.
 */
import { HoldfastError } from "../core/errors.ts";
import type { ByteSource } from "../core/host.ts";

const NEWLINE = 0x0a;
const RETURN = 0x0d;
/** Space, tab, newline, return. */
const BLANKS = [0x20, 0x09, NEWLINE, RETURN];

/**
 * - A last line without newline counts; CR before the newline does not belong to the line.
 * - Bounded: a line over the limit fails at once, and the call after that finds the next one.
 */
export class LineReader {
  /** Lines read so far: the number of the last one. */
  count = 0;
  readonly #source: ByteSource;
  readonly #limit: number;
  #rest: Uint8Array | null = null;
  /** The rest of a line that was too long is to be passed over. */
  #skipping = false;

  /** `limit`: bytes of one line. */
  constructor(source: ByteSource, { limit }: { limit: number }) {
    this.#source = source;
    this.#limit = limit;
  }

  /** Passes over blanks and empty lines; the byte after them, which stays, or null at the end of the source. */
  async peek(): Promise<number | null> {
    for (;;) {
      this.#rest ??= await this.#source.read();
      if (this.#rest === null) return null;
      const start = this.#rest.findIndex((byte) => !BLANKS.includes(byte));
      const blanks = start < 0 ? this.#rest : this.#rest.subarray(0, start);
      for (const byte of blanks) if (byte === NEWLINE) this.count++;
      this.#rest = start < 0 ? null : this.#rest.subarray(start);
      if (this.#rest !== null) return this.#rest[0];
    }
  }

  /**
   * The next line without its end, or null at the end of the source.
   *
   * @throws {HoldfastError} `limit` for a line that is too long, `usage` for one that is no UTF-8
   */
  async next(): Promise<string | null> {
    if (this.#skipping) { while (!(await this.#part()).ended); }
    this.#skipping = false;
    const parts: Uint8Array[] = [];
    let size = 0;
    for (let ended = false; !ended;) {
      const part = await this.#part();
      if (part.bytes === null && size === 0) return null;
      if (part.bytes) parts.push(part.bytes);
      size += part.bytes?.length ?? 0;
      ended = part.ended;
      if (size > this.#limit) {
        this.count++;
        this.#skipping = !ended;
        throw new HoldfastError("limit", `it is longer than ${this.#limit} bytes`);
      }
    }
    this.count++;
    return decode(parts, size);
  }

  /** What is there of the line; null bytes at the end of the source. */
  async #part(): Promise<{ bytes: Uint8Array | null; ended: boolean }> {
    const bytes = this.#rest ?? await this.#source.read();
    this.#rest = null;
    if (bytes === null) return { bytes, ended: true };
    const end = bytes.indexOf(NEWLINE);
    if (end < 0) return { bytes, ended: false };
    if (end + 1 < bytes.length) this.#rest = bytes.subarray(end + 1);
    return { bytes: bytes.subarray(0, end), ended: true };
  }
}

function decode(parts: Uint8Array[], size: number): string {
  const bytes = new Uint8Array(size);
  let at = 0;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  const end = bytes.at(-1) === RETURN ? size - 1 : size;
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes.subarray(0, end));
  } catch {
    throw new HoldfastError("usage", "it is not UTF-8");
  }
}
