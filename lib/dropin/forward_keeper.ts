/**
 * The process in which forwards of `-O forward` live: it ends with the last of them, with the connection, or with the
 * daemon. Loaded for that only.
 */
import { openSession } from "../client/session.ts";
import { selfCommand } from "../rendezvous/self_command.ts";
import type { Forward } from "./forward_spec.ts";
import { lost } from "./hold_open.ts";
import { startForwards } from "./port_forwards.ts";
import { planSession } from "./session_plan.ts";
import { endBySignals } from "./session_work.ts";
import type { SshLog } from "./ssh_log.ts";
import type { SshRequest } from "./ssh_request.ts";
import { tellReady, untilReady } from "./until_ready.ts";

/** Set in such a process: which of the forwards on its command line are to be made, by their numbers. */
export const KEEPS_FORWARDS = "HOLDFAST_SSH_KEEPS_FORWARDS";

/**
 * Starts it with the command line `words`. Resolves with 0 when all of the forwards listen, and otherwise with its
 * status; what it says on the way is said here.
 */
export async function startKeeper(
  words: readonly string[],
  { wanted }: { wanted: readonly number[] },
): Promise<number> {
  const [program, ...args] = selfCommand("ssh");
  const child = new Deno.Command(program, {
    args: [...args, ...words],
    env: { [KEEPS_FORWARDS]: wanted.join(",") },
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
    detached: true,
  }).spawn();
  child.unref();
  return await untilReady(child);
}

/** Is that process. */
export async function keepForwards(
  request: SshRequest,
  { log, forwards }: { log: SshLog; forwards: Forward[] },
): Promise<number> {
  const { destination: target, ssh } = request;
  // Ports are told in ssh's way for this, which is on standard output.
  log.level = "ERROR";
  const { session, context } = await openSession({ target, ssh, purpose: "net" });
  const circumstances = { onTerminal: false, environment: {}, keywords: {} };
  const { gatewayPorts } = request;
  const work = { ...request, session: "none", command: null } as const;
  const plan = {
    ...planSession(work, circumstances),
    gatewayPorts: gatewayPorts ?? false,
    forwards,
    needsForwards: true,
  };
  const gone = lost({ session, context });
  const held = await startForwards({ request, plan, session, context, log });
  for (const port of held.ports) console.log(port);
  endBySignals(log);
  log.level = "QUIET";
  tellReady();
  await Promise.race([gone, held.cancelled]);
  await session.close();
  return 0;
}
