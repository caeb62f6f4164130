/** A Unix socket connection as a link's transport; both ends of the daemon's socket use it. */
import { HoldfastError } from "../core/errors.ts";
import type { Transport } from "../core/host.ts";

/** A little more than one frame of a stream's data. */
const READ_SIZE = 68 * 1024;

export function socketTransport(conn: Deno.Conn): Transport {
  let closed = false;
  let buffer = new Uint8Array(0);
  const broken = (error: unknown) =>
    new HoldfastError("disconnected", `the socket broke: ${(error as Error).message}`);
  return {
    async read() {
      if (closed) return null;
      if (buffer.length === 0) buffer = new Uint8Array(READ_SIZE);
      const into = buffer;
      try {
        const count = await conn.read(into);
        if (count === null) return null;
        // A small message leaves the buffer to the next one; a large one takes it along.
        if (count < READ_SIZE / 8) return into.slice(0, count);
        buffer = new Uint8Array(0);
        return into.subarray(0, count);
      } catch (error) {
        if (closed || error instanceof Deno.errors.ConnectionReset) return null;
        throw broken(error);
      }
    },
    async write(bytes) {
      try {
        for (let at = 0; at < bytes.length;) at += await conn.write(bytes.subarray(at));
      } catch (error) {
        throw broken(error);
      }
    },
    close() {
      if (closed) return;
      closed = true;
      conn.close();
    },
  };
}
