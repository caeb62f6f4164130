/**
 * Bounded lines of bytes from a source, for the relay: its lines come from anybody, may have no end and need not
 * be text. The standard library's line stream has no bound.
 */
import { HoldfastError } from "../core/errors.ts";
import type { ByteSource } from "../core/host.ts";

const NEWLINE = 0x0a;
const RETURN = 0x0d;

/**
 * - A last line without newline counts; CR before the newline does not belong to the line.
 * - Bounded: of a line over the limit nothing is kept, and the one after it is found.
 */
export class LineReader {
  /** Lines read so far: the number of the last one. */
  count = 0;
  readonly #source: ByteSource;
  readonly #limit: number;
  #rest: Uint8Array | null = null;

  /** `limit`: bytes of one line. */
  constructor(source: ByteSource, { limit }: { limit: number }) {
    this.#source = source;
    this.#limit = limit;
  }

  /**
   * The next line without its end, or null at the end of the source.
   *
   * @throws {HoldfastError} `usage` for a line that is too long or no UTF-8; reading can go on behind it
   */
  async next(): Promise<string | null> {
    const parts: Uint8Array[] = [];
    let size = 0;
    for (;;) {
      this.#rest ??= await this.#source.read();
      if (this.#rest === null) {
        if (size === 0) return null;
        break;
      }
      const end = this.#rest.indexOf(NEWLINE);
      const part = end < 0 ? this.#rest : this.#rest.subarray(0, end);
      const left = end < 0 ? 0 : this.#rest.length - end - 1;
      this.#rest = left > 0 ? this.#rest.subarray(end + 1) : null;
      size += part.length;
      if (size <= this.#limit) parts.push(part);
      else parts.length = 0;
      if (end >= 0) break;
    }
    this.count++;
    if (size > this.#limit) {
      throw new HoldfastError(
        "usage",
        `Cannot read line: it is ${size} bytes long, and ${this.#limit} is the most`,
      );
    }
    return decode(parts, size);
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
    throw new HoldfastError("usage", "Cannot read line: it is not UTF-8");
  }
}
