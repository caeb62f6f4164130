/** What the ways to carry out a session have in common: a command, a terminal, nothing but an open connection. */
import type { Session } from "../client/session.ts";
import { KILLED } from "./process_options.ts";
import type { SessionPlan } from "./session_plan.ts";
import type { SshLog } from "./ssh_log.ts";
import type { SshRequest } from "./ssh_request.ts";

/** What a shell reports for a program that SIGUSR1 ended. */
const USR1_STATUS = 128 + 10;

/** Set in the process that `-f` leaves behind: the id of the one that waits until it is ready, or RELEASED. */
export const IN_BACKGROUND = "HOLDFAST_SSH_IN_BACKGROUND";

/** The one that waits carries on what is said until then. */
export const RELEASED = "released";

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
  // ssh does not live through it; Deno would, and open its debugger to every local user.
  Deno.addSignalListener("SIGUSR1", () => Deno.exit(USR1_STATUS));
}

/** The session is under way: whoever started this process in the background need not wait any more. */
export async function announceBackground(log: SshLog): Promise<void> {
  const starter = Deno.env.get(IN_BACKGROUND);
  if (starter === RELEASED) {
    const { tellReady }: typeof import("./until_ready.ts") = await import(
      "./until_ready.ts" as string
    );
    tellReady();
    log.leaveStderr();
  } else if (starter !== undefined) Deno.kill(Number(starter), "SIGUSR2");
}
