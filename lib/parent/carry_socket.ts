/** Joins a socket of this machine to two streams, until both directions have ended. For `net_service.ts`. */
import { HoldfastError } from "../core/errors.ts";
import type { ReceiveStream, SendStream } from "../core/stream.ts";

type Socket = import("node:net").Socket;

/** What comes out of the streams' other end is written to the socket, and what the socket gets goes there. */
export function carrySocket(
  socket: Socket,
  { source, sink }: { source: ReceiveStream; sink: SendStream },
): void {
  socket.setNoDelay(true);
  void carryOut(source, socket);
  void carryIn(socket, sink);
}

async function carryOut(source: ReceiveStream, socket: Socket): Promise<void> {
  try {
    for (let bytes = await source.read(); bytes; bytes = await source.read()) {
      const piece = bytes;
      await new Promise<void>((resolve, reject) =>
        socket.write(piece, (error) => error ? reject(error) : resolve())
      );
    }
    socket.end();
  } catch {
    socket.destroy();
    source.cancel();
  }
}

/** By events: iterating would destroy a socket whose other direction is still open. */
async function carryIn(socket: Socket, sink: SendStream): Promise<void> {
  let written = Promise.resolve();
  try {
    await new Promise<void>((resolve, reject) => {
      socket.on("data", (bytes: Uint8Array) => {
        socket.pause();
        written = sink.write(bytes);
        written.then(() => socket.resume(), reject);
      });
      socket.once("end", resolve);
      socket.once("error", reject);
      // After its end that changes nothing.
      socket.once("close", () => reject(new Error("the connection was closed")));
    });
    await written;
    await sink.close();
  } catch (error) {
    socket.destroy();
    sink.abort(new HoldfastError("disconnected", (error as Error).message));
  }
}
