/** `-L` and `-D`: a listener here whose connections the last context carries on. For `port_forwards.ts`. */
import type { Router } from "../core/router.ts";
import { dial } from "./dial.ts";
import { bindAddresses, describeForward, describePlace } from "./forward_places.ts";
import type { Endpoint, Forward } from "./forward_spec.ts";
import { closeConn, type Conn, joinStreams, readConn, writeConn } from "./join_streams.ts";
import { readSocksRequest } from "./socks.ts";
import type { SshLog } from "./ssh_log.ts";

export type LocalForward = Extract<Forward, { kind: "local" | "dynamic" }>;

/** The umask for a Unix socket's file: others get nothing. */
const OTHERS = 0o177;

type Listener = Deno.TcpListener | Deno.UnixListener;

/** What its connections need. */
export interface ForwardContext {
  router: Router;
  context: number;
  log: SshLog;
}

export interface LocalRules {
  gatewayPorts: boolean;
  /** A Unix socket takes the place of what is there. */
  unlink: boolean;
}

/** Listens, and says of each address why it cannot; null when it can on none. What is returned closes it. */
export function startLocalForward(
  forward: LocalForward,
  at: ForwardContext & LocalRules,
): (() => void) | null {
  const places = bindAddresses(forward.listen, at);
  const opened = places.map((place) => listen(place, at)).filter((one) => one !== null);
  for (const listener of opened) void serve(listener, { forward, at });
  return opened.length === 0 ? null : () => opened.forEach((listener) => listener.close());
}

function listen(
  place: Endpoint,
  { log, unlink }: { log: SshLog; unlink: boolean },
): Listener | null {
  try {
    if (!("path" in place)) return Deno.listen({ hostname: place.host, port: place.port });
    if (unlink) remove(place.path);
    const mask = Deno.umask(OTHERS);
    try {
      return Deno.listen({ transport: "unix", path: place.path });
    } finally {
      Deno.umask(mask);
    }
  } catch (error) {
    // A machine without IPv6 is none to be told of.
    const level = "path" in place || !place.host?.startsWith("::") ? "ERROR" : "DEBUG1";
    log.write(level, `Cannot listen on ${describePlace(place)}: ${(error as Error).message}`);
    return null;
  }
}

/** A socket of before; anything else stays, and is in the way. */
function remove(path: string): void {
  try {
    if (Deno.lstatSync(path).isSocket) Deno.removeSync(path);
  } catch {
    // Listening will tell.
  }
}

async function serve(
  listener: Listener,
  { forward, at }: { forward: LocalForward; at: ForwardContext },
): Promise<void> {
  for await (const conn of listener) void carry(conn as Conn, { forward, at });
}

async function carry(
  conn: Conn,
  { forward, at }: { forward: LocalForward; at: ForwardContext },
): Promise<void> {
  try {
    if (forward.kind === "dynamic") {
      await carrySocks(conn, at);
    } else {
      const dialled = dial(at, forward.connect);
      await Promise.all([dialled.connected, joinStreams(conn, dialled)]);
    }
  } catch (error) {
    at.log.write("INFO", `${describeForward(forward)}: ${(error as Error).message}`);
  } finally {
    closeConn(conn);
  }
}

async function carrySocks(conn: Conn, at: ForwardContext): Promise<void> {
  const request = await readSocksRequest({
    read: () => readConn(conn),
    write: (bytes) => writeConn(conn, bytes),
  });
  const dialled = dial(at, request);
  try {
    await dialled.connected;
  } catch (error) {
    await writeConn(conn, request.refused);
    throw error;
  }
  await writeConn(conn, request.granted);
  if (request.rest.length > 0) await dialled.outgoing.write(request.rest);
  await joinStreams(conn, dialled);
}
