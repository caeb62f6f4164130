/** A Unix socket connection as a link's transport; both ends of the daemon's socket use it. */
import { HoldfastError } from "../core/errors.ts";
import type { Transport } from "../core/host.ts";

/** A little more than one frame of a stream's data. */
const READ_SIZE = 68 * 1024;

export function socketTransport(conn: Deno.Conn): Transport {
  let closed = false;
  const broken = (error: unknown) =>
    new HoldfastError("disconnected", `the socket broke: ${(error as Error).message}`);
  return {
    async read() {
      if (closed) return null;
      const buffer = new Uint8Array(READ_SIZE);
      try {
        const count = await conn.read(buffer);
        if (count === null) return null;
        // A small message must not hold on to the whole buffer.
        return count < READ_SIZE / 8 ? buffer.slice(0, count) : buffer.subarray(0, count);
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
