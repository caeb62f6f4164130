/** The first words between a client and the daemon: who listens there, and which version it is. */
import { HoldfastError } from "../core/errors.ts";
import { encodeGreeting, type Greeting, readGreeting } from "../core/greeting.ts";
import type { Transport } from "../core/host.ts";
import type { JsonObject } from "../core/json.ts";
import type { RuntimeDir } from "../rendezvous/runtime_dir.ts";
import { socketTransport } from "../rendezvous/socket_transport.ts";
import { VERSION } from "../rendezvous/version.ts";

/** Milliseconds that a listening daemon has to answer. */
const GREETING_DEADLINE = 10_000;

/** A daemon that answered. */
export interface GreetedDaemon {
  transport: Transport;
  greeting: Greeting;
  rest: Uint8Array;
}

/** Connects and exchanges greetings, ours with `body` added; null when nobody listens, or it went away meanwhile. */
export async function greetDaemon(
  dir: RuntimeDir,
  body: JsonObject = {},
): Promise<GreetedDaemon | null> {
  let conn: Deno.Conn;
  let cookie: string;
  try {
    cookie = Deno.readTextFileSync(dir.cookie);
    conn = await Deno.connect({ transport: "unix", path: dir.socket });
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return null;
    if (error instanceof Deno.errors.ConnectionRefused) return null;
    throw new HoldfastError(
      "connect",
      `Cannot reach the daemon at ${JSON.stringify(dir.socket)}: ${(error as Error).message}`,
    );
  }
  const transport = socketTransport(conn);
  const sent = transport.write(encodeGreeting({ cookie, version: VERSION, ...body }));
  sent.catch(() => {});
  // Not setTimeout, whose first use costs a client 4 ms; this costs 0.2, while the daemon reads.
  const late = AbortSignal.timeout(GREETING_DEADLINE);
  const close = () => transport.close();
  late.addEventListener("abort", close);
  try {
    await sent;
    return { transport, ...await readGreeting(transport) };
  } catch {
    transport.close();
    return null;
  } finally {
    late.removeEventListener("abort", close);
  }
}

/** Whether this client can work with it. */
export function isOurs({ greeting }: GreetedDaemon): boolean {
  return greeting.body.version === VERSION && !greeting.body.error;
}
