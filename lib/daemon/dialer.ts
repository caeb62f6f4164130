/** How a host behind a hop is dialled: over the SSH connection before it, or by the context before it. */
import { HoldfastError, toHoldfastError } from "../core/errors.ts";
import type { Transport } from "../core/host.ts";
import { ReceiveStream, SendStream } from "../core/stream.ts";
import { transportDuplex } from "../master/ssh_streams.ts";
import type { Jump } from "../master/ssh_way.ts";
import type { DialArguments } from "../parent/net_service.ts";
import type { Connection } from "./connection.ts";
import type { Tree } from "./tree.ts";

/**
 * What an SSH connection that goes through `above` is dialled with: a forwarded channel of the SSH connection
 * before it, which costs that host nothing; where there is none, or its server forbids that, a connection that the
 * context there makes.
 */
export async function dialer(above: Connection, tree: Tree): Promise<Jump> {
  await above.open("command");
  return {
    description: above.target,
    closed: above.closed,
    async dial(host, port) {
      const transport = await dialFrom(above, { tree, host, port });
      return { stream: transportDuplex(transport), close: () => transport.close() };
    },
    close() {},
  };
}

async function dialFrom(
  above: Connection,
  { tree, host, port }: { tree: Tree; host: string; port: number },
): Promise<Transport> {
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
): Promise<Transport> {
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
    close() {
      void outgoing.close();
      incoming.cancel(gone);
    },
  };
}
