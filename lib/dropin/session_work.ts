/** What the ways to carry out a session have in common: a command, a terminal, nothing but an open connection. */
import type { Session } from "../client/session.ts";
import { KILLED } from "./process_options.ts";
import type { SessionPlan } from "./session_plan.ts";
import type { SshLog } from "./ssh_log.ts";
import type { SshRequest } from "./ssh_request.ts";

/** Set in the process that `-f` leaves behind: the id of the one that waits until it is ready. */
export const IN_BACKGROUND = "HOLDFAST_SSH_IN_BACKGROUND";

/** A session that is open, and what is to be done with it. */
export interface OpenWork {
  request: SshRequest;
  plan: SessionPlan;
  session: Session;
  context: number;
  log: SshLog;
}

/** Ends this process as ssh does when it gets a signal; the daemon then ends what it ran. */
export function endBySignals(log: SshLog): void {
  for (const [name, number] of [["HUP", 1], ["INT", 2], ["TERM", 15]] as const) {
    Deno.addSignalListener(`SIG${name}`, () => {
      log.write("VERBOSE", `Killed by signal ${number}.`);
      Deno.exit(KILLED);
    });
  }
}

/** The session is under way: whoever started this process in the background need not wait any more. */
export function announceBackground(): void {
  const starter = Deno.env.get(IN_BACKGROUND);
  if (starter !== undefined) Deno.kill(Number(starter), "SIGUSR2");
}
