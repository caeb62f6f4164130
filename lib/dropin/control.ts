/**
 * `-O`: what ssh asks of a master, asked of the connection that the daemon holds. Forwards that are asked for live in a
 * process of their own, which ends with the last of them or with the connection. Loaded for that only.
 */
import { connectDaemon, sentEnvironment, type Session } from "../client/session.ts";
import { HoldfastError } from "../core/errors.ts";
import type { JsonObject } from "../core/json.ts";
import { BeyondUs } from "./beyond_us.ts";
import { describeForward } from "./forward_places.ts";
import { keepForwards, KEEPS_FORWARDS, startKeeper } from "./forward_keeper.ts";
import type { Forward } from "./forward_spec.ts";
import { FORWARD_SERVICE } from "./held_forwards.ts";
import type { SshLog } from "./ssh_log.ts";
import type { SshRequest } from "./ssh_request.ts";

const FAILED = 255;

/** Milliseconds that another process of ours has to say what it forwards: it may be stopped. */
const PATIENCE = 3000;

/** A connection that is held. */
interface Held {
  /** The daemon's. */
  pid: number;
  /** Who uses it. */
  clients: number[];
}

interface Control {
  request: SshRequest;
  session: Session;
  log: SshLog;
}

/** Resolves with the status to exit with, as ssh's. `words` are the whole command line. */
export async function runControl(
  request: SshRequest,
  { log, words }: { log: SshLog; words: readonly string[] },
): Promise<number> {
  const { control: command, destination, controlPath } = request;
  // What runs over an OpenSSH master is that one's business.
  if (command === "proxy" || isSocket(controlPath)) throw new BeyondUs(`-O ${command}`);
  const kept = Deno.env.get(KEEPS_FORWARDS)?.split(",").map(Number);
  if (kept) {
    const forwards = forwardsIn(request).filter((_, number) => kept.includes(number));
    return await keepForwards(request, { log, forwards });
  }
  const session = await connectDaemon({ start: false });
  try {
    const open = session && { request, session, log };
    const held = open && await ask<Held>(open, command === "stop" ? "retire" : "check");
    if (!open || !held) {
      throw new HoldfastError("no_route", `no connection to ${destination} is held`);
    }
    switch (command) {
      case "check":
        say(`Master running (pid=${held.pid})`);
        return 0;
      case "stop":
        if (log.level !== "QUIET") say("Stop listening request sent.");
        return 0;
      case "exit":
        await ask(open, "disconnect");
        if (log.level !== "QUIET") say("Exit request sent.");
        return 0;
      case "cancel":
        return await cancelForwards(open, held);
      default:
        return await addForwards(open, { held, words });
    }
  } finally {
    await session?.close();
  }
}

async function cancelForwards(open: Control, { clients }: Held): Promise<number> {
  let status = 0;
  for (const forward of forwardsIn(open.request)) {
    const found = await firstOf(open.session, { clients, method: "cancel", forward });
    if (found) continue;
    open.log.write("ERROR", `Cannot cancel ${describeForward(forward)}: it is not forwarded`);
    status = FAILED;
  }
  return status;
}

/** Those that are there already are as good as new ones; the others get a process that keeps them. */
async function addForwards(
  { request, session }: Control,
  { held: { clients }, words }: { held: Held; words: readonly string[] },
): Promise<number> {
  const forwards = forwardsIn(request);
  const found = await Promise.all(
    forwards.map((forward) => firstOf(session, { clients, method: "find", forward })),
  );
  for (const one of found) {
    const { port } = (one ?? {}) as { port?: number | null };
    if (typeof port === "number") console.log(port);
  }
  const wanted = [...forwards.keys()].filter((number) => !found[number]);
  return wanted.length === 0 ? 0 : await startKeeper(words, { wanted });
}

function forwardsIn({ forwards, control }: SshRequest): Forward[] {
  if (forwards.length > 0) return forwards;
  throw new HoldfastError("usage", `Cannot ${control}: no -L, -R or -D says what`);
}

/** The first answer that is none of "no", of those processes. */
async function firstOf(
  { router }: Session,
  { clients, method, forward }: { clients: number[]; method: string; forward: Forward },
): Promise<unknown> {
  const args = { forward: forward as unknown as JsonObject };
  const signal = AbortSignal.timeout(PATIENCE);
  const answers = clients.map((client) =>
    router.call(client, { service: FORWARD_SERVICE, method, args }, { signal }).catch(() => null)
  );
  return (await Promise.all(answers)).find((answer) => answer);
}

async function ask<T>({ request, session }: Control, method: string): Promise<T | null> {
  const { destination: target, ssh } = request;
  const env = sentEnvironment();
  const args = { target, ssh: ssh as unknown as JsonObject, env, cwd: Deno.cwd() };
  return await session.daemon("connection", method, args) as T | null;
}

function isSocket(path: string | undefined): boolean {
  try {
    return path !== undefined && Deno.statSync(path).isSocket === true;
  } catch {
    return false;
  }
}

function say(text: string): void {
  Deno.stderr.writeSync(new TextEncoder().encode(`${text}\r\n`));
}
