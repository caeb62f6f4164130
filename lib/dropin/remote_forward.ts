/**
 * `-R`: a listener in the last context whose connections are carried on from here, to where the command line or
 * ssh_config says and nowhere else. For `port_forwards.ts`.
 */
import { bindAddresses, describeForward } from "./forward_places.ts";
import type { Forward } from "./forward_spec.ts";
import { closeConn, type Conn, connectHere, joinStreams, writeConn } from "./join_streams.ts";
import type { ForwardContext } from "./local_forward.ts";
import { type Arrival, listenThere, type RemoteListener } from "./remote_listener.ts";
import { readSocksRequest } from "./socks.ts";

export type RemoteForward = Extract<Forward, { kind: "remote" | "remote-dynamic" }>;

/** Listens there. Rejects with why it cannot. */
export async function startRemoteForward(
  forward: RemoteForward,
  { router, context, log }: ForwardContext,
): Promise<RemoteListener> {
  // Who listens on all addresses there is for who asks to say, as where sshd has "GatewayPorts clientspecified".
  const places = bindAddresses(forward.listen, { gatewayPorts: false });
  return await listenThere({ router, context, places }, async (arrival) => {
    try {
      if (forward.kind === "remote") await carry(arrival, await connectHere(forward.connect));
      else await carrySocks(arrival);
    } catch (error) {
      log.write("INFO", `${describeForward(forward)}: ${(error as Error).message}`);
      throw error;
    }
  });
}

async function carry(arrival: Arrival, conn: Conn): Promise<void> {
  try {
    await joinStreams(conn, arrival);
  } finally {
    closeConn(conn);
  }
}

async function carrySocks(arrival: Arrival): Promise<void> {
  const { incoming, outgoing } = arrival;
  const request = await readSocksRequest({
    read: () => incoming.read(),
    write: (bytes) => outgoing.write(bytes),
  });
  let conn: Conn;
  try {
    conn = await connectHere(request);
  } catch (error) {
    await outgoing.write(request.refused);
    throw error;
  }
  await outgoing.write(request.granted);
  await writeConn(conn, request.rest);
  await carry(arrival, conn);
}
