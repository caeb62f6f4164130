/** `-L` and `-D`: listeners here whose connections the last context carries on. Loaded for those only. */
import { drain } from "../client/execute.ts";
import { HoldfastError } from "../core/errors.ts";
import { dial, type Dialled } from "./dial.ts";
import type { Endpoint, Forward } from "./forward_spec.ts";
import type { OpenWork } from "./session_work.ts";
import { readSocksRequest } from "./socks.ts";
import type { SshLog } from "./ssh_log.ts";

type Listener = Deno.TcpListener | Deno.UnixListener;
type Conn = Deno.TcpConn | Deno.UnixConn;
type Router = OpenWork["session"]["router"];

/** What one listener's connections need. */
interface Forwarding {
  forward: Forward;
  router: Router;
  context: number;
  log: SshLog;
}

/**
 * Listens for all of them; they end with this process. One that cannot be is told of, and ends everything where
 * ExitOnForwardFailure says so.
 */
export async function startForwards({ request, plan, session, log }: OpenWork): Promise<void> {
  const { destination: target, ssh, forwards, gatewayPorts = false } = request;
  const context = await session.open({ target, ssh, purpose: "net" });
  for (const forward of forwards) {
    const places = addresses(forward.listen, { gatewayPorts });
    const opened = places.map((place) => listen(place, log)).filter((listener) =>
      listener !== null
    );
    if (opened.length === 0) {
      log.write("ERROR", "Could not request local forwarding.");
      if (plan.needsForwards) throw new HoldfastError("io", `Cannot forward: ${describe(forward)}`);
    }
    for (const listener of opened) {
      void serve(listener, { forward, router: session.router, context, log });
    }
  }
}

/** Where ssh listens: on the loopback addresses unless it is told otherwise. */
function addresses(listen: Endpoint, { gatewayPorts }: { gatewayPorts: boolean }): Endpoint[] {
  if ("path" in listen) return [listen];
  const { host, port } = listen;
  if (host === "" || host === "*" || (host === undefined && gatewayPorts)) {
    return [{ host: "0.0.0.0", port }, { host: "::", port }];
  }
  if (host === undefined || host === "localhost") {
    return [{ host: "127.0.0.1", port }, { host: "::1", port }];
  }
  return [{ host, port }];
}

function listen(place: Endpoint, log: SshLog): Listener | null {
  try {
    if ("path" in place) return Deno.listen({ transport: "unix", path: place.path });
    return Deno.listen({ hostname: place.host, port: place.port });
  } catch (error) {
    // A machine without IPv6 is none to be told of.
    const level = "path" in place || !place.host?.startsWith("::") ? "ERROR" : "DEBUG1";
    log.write(level, `Cannot listen on ${describePlace(place)}: ${(error as Error).message}`);
    return null;
  }
}

async function serve(listener: Listener, forwarding: Forwarding): Promise<void> {
  for await (const conn of listener) void carry(conn as Conn, forwarding);
}

async function carry(conn: Conn, { forward, router, context, log }: Forwarding): Promise<void> {
  try {
    if (forward.kind === "dynamic") {
      await carrySocks(conn, { router, context });
    } else if ("connect" in forward) {
      const dialled = dial({ router, context }, forward.connect);
      await Promise.all([dialled.connected, join(conn, dialled)]);
    }
  } catch (error) {
    log.write("INFO", `${describe(forward)}: ${(error as Error).message}`);
  } finally {
    close(conn);
  }
}

async function carrySocks(
  conn: Conn,
  at: { router: Router; context: number },
): Promise<void> {
  const request = await readSocksRequest({
    read: () => read(conn),
    write: (bytes) => write(conn, bytes),
  });
  const dialled = dial(at, request);
  try {
    await dialled.connected;
  } catch (error) {
    await write(conn, request.refused);
    throw error;
  }
  await write(conn, request.granted);
  if (request.rest.length > 0) await dialled.outgoing.write(request.rest);
  await join(conn, dialled);
}

/** Both ways, each to its own end. */
async function join(conn: Conn, { outgoing, incoming }: Dialled): Promise<void> {
  const out = async () => {
    try {
      for (let bytes = await read(conn); bytes; bytes = await read(conn)) {
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
      close(conn);
      throw error;
    }
  };
  await Promise.all([out(), back()]);
}

async function read(conn: Conn): Promise<Uint8Array | null> {
  const buffer = new Uint8Array(64 * 1024);
  const count = await conn.read(buffer);
  return count === null ? null : buffer.subarray(0, count);
}

async function write(conn: Conn, bytes: Uint8Array): Promise<void> {
  for (let at = 0; at < bytes.length;) at += await conn.write(bytes.subarray(at));
}

function close(conn: Conn): void {
  try {
    conn.close();
  } catch {
    // It was closed before.
  }
}

function describe(forward: Forward): string {
  return "connect" in forward
    ? `${describePlace(forward.listen)} to ${describePlace(forward.connect)}`
    : describePlace(forward.listen);
}

function describePlace(place: Endpoint): string {
  return "path" in place ? place.path : `${place.host ?? "localhost"}:${place.port}`;
}
