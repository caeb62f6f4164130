/** Cuts a byte stream into frames, however the bytes are split. Does no I/O. */
import { HEADER_SIZE, MAGIC } from "./constants.ts";
import { HoldfastError } from "./errors.ts";
import { type Frame, viewFrame } from "./frame.ts";
import { LIMITS } from "./limits.ts";

/**
 * Incremental decoder of one direction of a link.
 *
 * - Bounded: holds at most one partial frame.
 * - A large frame that lies whole in a chunk is a view of that chunk, not a copy; a small one is a copy, so
 *   that what waits somewhere holds on to at most four times its size.
 * - After an error it stays broken: the position in the stream is lost.
 */
export class Decoder {
  readonly #onFrame: (frame: Frame) => void;
  #header = new Uint8Array(HEADER_SIZE);
  #partial: Uint8Array = this.#header;
  #filled = 0;

  constructor(onFrame: (frame: Frame) => void) {
    this.#onFrame = onFrame;
  }

  /** Bytes of an unfinished frame; 0 when the stream may end here. */
  get pending(): number {
    return this.#filled;
  }

  /** Takes the next bytes and delivers each frame that they complete. Throws `protocol` or `limit`. */
  push(chunk: Uint8Array): void {
    let at = 0;
    while (at < chunk.length) {
      const left = chunk.length - at;
      if (this.#filled === 0 && left >= HEADER_SIZE) {
        const size = frameSize(chunk, at);
        if (left >= size) {
          const end = at + size;
          const few = size < chunk.length / 4;
          this.#onFrame(viewFrame(few ? chunk.slice(at, end) : chunk.subarray(at, end)));
          at = end;
          continue;
        }
        this.#partial = new Uint8Array(size);
      }
      const count = Math.min(left, this.#partial.length - this.#filled);
      this.#partial.set(chunk.subarray(at, at + count), this.#filled);
      this.#filled += count;
      at += count;
      if (this.#filled < this.#partial.length) return;
      if (this.#partial === this.#header) {
        const size = frameSize(this.#header, 0);
        const whole = new Uint8Array(size);
        whole.set(this.#header);
        this.#partial = whole;
        if (size > HEADER_SIZE) continue;
      }
      const whole = this.#partial;
      this.#partial = this.#header;
      this.#filled = 0;
      this.#onFrame(viewFrame(whole));
    }
  }
}

/** Size of the frame whose header stands at `at`, header included. */
function frameSize(bytes: Uint8Array, at: number): number {
  const view = new DataView(bytes.buffer, bytes.byteOffset + at, HEADER_SIZE);
  if (view.getUint16(0) !== MAGIC) {
    throw new HoldfastError("protocol", "Cannot read frame: it does not begin with the magic");
  }
  const length = view.getUint32(22);
  if (length > LIMITS.framePayload) {
    throw new HoldfastError("limit", `Cannot read frame: ${length} bytes are over the limit`);
  }
  return HEADER_SIZE + length;
}
