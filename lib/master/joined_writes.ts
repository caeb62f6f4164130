/**
 * Makes what ssh2 writes in one turn leave in one write: its packets come in up to four pieces, and a system
 * call for each was more than half of the daemon's work in a transfer. Used by `ssh_connection.ts`.
 */

import { Buffer } from "node:buffer";
import type { Duplex } from "node:stream";

/** A few packets of the largest size. */
const OUTBOX = 128 * 1024;
/** Outboxes kept for the next turn, of all connections together. */
const MAX_SPARE = 8;

/** An idle connection has none. */
const spare: Buffer[] = [];

/**
 * Changes `write` of `stream`: the bytes are copied before it returns, so that their buffer can be used again, and
 * handed on in order when the turn is over. Only bytes can be written then.
 */
export function joinWrites(stream: Duplex): void {
  const { write, end } = stream;
  let outbox: Buffer | null = null;
  let filled = 0;
  const flush = () => {
    if (outbox === null) return;
    const full = outbox;
    outbox = null;
    const back = () => {
      if (spare.length < MAX_SPARE) spare.push(full);
    };
    write.call(stream, full.subarray(0, filled), "buffer" as BufferEncoding, back);
  };
  const add = (bytes: Uint8Array) => {
    for (let at = 0; at < bytes.length;) {
      if (outbox === null) {
        outbox = spare.pop() ?? Buffer.allocUnsafeSlow(OUTBOX);
        filled = 0;
        queueMicrotask(flush);
      }
      const part = bytes.subarray(at, at + OUTBOX - filled);
      outbox.set(part, filled);
      filled += part.length;
      at += part.length;
      if (filled === OUTBOX) flush();
    }
  };
  stream.write = (chunk: string | Uint8Array) => {
    add(typeof chunk === "string" ? Buffer.from(chunk) : chunk);
    return !stream.writableNeedDrain;
  };
  stream.end = (...args: unknown[]) => {
    flush();
    return Reflect.apply(end, stream, args);
  };
}
