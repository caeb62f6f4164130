/** Joins a connection of this machine to two streams. For what `ssh` forwards. */
import { drain } from "../client/execute.ts";
import { HoldfastError } from "../core/errors.ts";
import type { ReceiveStream, SendStream } from "../core/stream.ts";
import type { Endpoint } from "./forward_spec.ts";

export type Conn = Deno.TcpConn | Deno.UnixConn;

export interface Streams {
  outgoing: SendStream;
  incoming: ReceiveStream;
}

/** Both ways, each to its own end; the caller closes the connection. */
export async function joinStreams(conn: Conn, { outgoing, incoming }: Streams): Promise<void> {
  const out = async () => {
    try {
      for (let bytes = await readConn(conn); bytes; bytes = await readConn(conn)) {
        await outgoing.write(bytes);
      }
      await outgoing.close();
    } catch (error) {
      const reason = new HoldfastError("io", (error as Error).message);
      outgoing.abort(reason);
    }
  };
  const back = async () => {
    try {
      await drain(incoming, conn);
      await conn.closeWrite();
    } catch (error) {
      incoming.cancel();
      closeConn(conn);
      throw error;
    }
  };
  await Promise.all([out(), back()]);
}

/** Connects from here. */
export async function connectHere(place: Endpoint): Promise<Conn> {
  if ("path" in place) return await Deno.connect({ transport: "unix", path: place.path });
  return await Deno.connect({ hostname: place.host, port: place.port });
}

export async function readConn(conn: Conn): Promise<Uint8Array | null> {
  const buffer = new Uint8Array(64 * 1024);
  const count = await conn.read(buffer);
  return count === null ? null : buffer.subarray(0, count);
}

export async function writeConn(conn: Conn, bytes: Uint8Array): Promise<void> {
  for (let at = 0; at < bytes.length;) at += await conn.write(bytes.subarray(at));
}

export function closeConn(conn: Conn): void {
  try {
    conn.close();
  } catch {
    // It was closed before.
  }
}
