/**
 * `-A` behind hops, where no SSH server forwards an agent: a socket in the last context, for its user alone, whose
 * connections are carried on to ours. It goes with this process. Loaded for that only.
 */
import { HoldfastError } from "../core/errors.ts";
import { parseTarget } from "../rendezvous/target.ts";
import { closeConn, connectHere, joinStreams } from "./join_streams.ts";
import { listenThere } from "./remote_listener.ts";
import type { OpenWork } from "./session_work.ts";

/**
 * Resolves with the socket's path there; null where the context forwards agents by itself, where there is none here, or
 * where it cannot be, which is told.
 */
export async function relayAgent(open: OpenWork): Promise<string | null> {
  const { request, session: { router }, context, log } = open;
  const own = request.agentSocket ?? Deno.env.get("SSH_AUTH_SOCK");
  const socket = own?.startsWith("$") ? Deno.env.get(own.slice(1)) : own;
  if (!socket) return null;
  try {
    const { path } = await listenThere({ router, context, hidden: "socket" }, async (arrival) => {
      const conn = await connectHere({ path: socket });
      try {
        await joinStreams(conn, arrival);
      } finally {
        closeConn(conn);
      }
    });
    return path!;
  } catch (error) {
    const noCore = error instanceof HoldfastError && error.kind === "no_route";
    const { method } = parseTarget(request.destination).at(-1)!;
    // A host's SSH server does it.
    if (noCore && method === "ssh") return null;
    const why = noCore ? "it has no deno, node or bun" : (error as Error).message;
    log.write("ERROR", `Cannot forward the agent to ${request.destination}: ${why}`);
    return null;
  }
}
