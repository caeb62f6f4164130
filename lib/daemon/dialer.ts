/** How a host behind a hop is dialled: over the SSH connection before it, or by the context before it. */
import { transportDuplex } from "../master/ssh_streams.ts";
import type { Jump } from "../master/ssh_way.ts";
import type { Connection } from "./connection.ts";
import { dialFrom } from "./dial_from.ts";
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
