/**
 * A connection from where a held connection leads: by its SSH server, or by the context there. For `dialer.ts`, and for
 * hops that stay in that network.
 */
import { HoldfastError, toHoldfastError } from "../core/errors.ts";
import { ReceiveStream, SendStream } from "../core/stream.ts";
import type { DialledTransport } from "../master/endpoint.ts";
import type { DialArguments } from "../parent/net_service.ts";
import type { Connection } from "./connection.ts";
import type { Tree } from "./tree.ts";

/** Rejects with why neither can. */
export async function dialFrom(
  above: Connection,
  { tree, host, port }: { tree: Tree; host: string; port: number },
): Promise<DialledTransport> {
  let refused: unknown = null;
  if (above.dial) {
    try {
      return await above.dial(host, port);
    } catch (error) {
      refused = error;
    }
  }
  const context = await above.open("hop").catch((error) => {
    throw refused ?? error;
  });
  if (above.direct) throw refused;
  return await dialByContext(context, { tree, host, port });
}

async function dialByContext(
  context: number,
  { tree, host, port }: { tree: Tree; host: string; port: number },
): Promise<DialledTransport> {
  const { router } = tree;
  await tree.require(context, "net");
  const outgoing = SendStream.open(router, context);
  const incoming = ReceiveStream.open(router, context);
  const args: DialArguments = { host, port, outgoing: outgoing.id, incoming: incoming.id };
  try {
    await router.call(context, { service: "net", method: "dial", args: { ...args } });
  } catch (error) {
    const reason = toHoldfastError(error);
    outgoing.abort(reason);
    incoming.cancel(reason);
    throw reason;
  }
  const gone = new HoldfastError("cancelled", "the connection was closed");
  return {
    read: () => incoming.read(),
    write: (bytes) => outgoing.write(bytes),
    end: () => void outgoing.close(),
    close() {
      void outgoing.close();
      incoming.cancel(gone);
    },
  };
}
