/**
 * The deadlines of a connection attempt, one per phase. Waiting for a person does not count.
 * Used by `ssh_connection.ts` and `openssh_endpoint.ts`.
 */

import { HoldfastError } from "../core/errors.ts";

/** Milliseconds each phase may take. `connect` is overridden by ConnectTimeout. */
export const PHASE_DEADLINES = {
  resolve: 10_000,
  connect: 15_000,
  kex: 15_000,
  authenticate: 30_000,
};

export type Phase = keyof typeof PHASE_DEADLINES;

/** Calls `expired` once when the current phase takes too long. Paused time does not count; pauses nest. */
export class PhaseClock {
  #expired: (phase: Phase) => void;
  #phase: Phase = "resolve";
  #timer: ReturnType<typeof setTimeout> | undefined;
  #left = 0;
  #since = 0;
  #pauses = 0;

  constructor(expired: (phase: Phase) => void) {
    this.#expired = expired;
  }

  get phase(): Phase {
    return this.#phase;
  }

  enter(phase: Phase, deadline: number = PHASE_DEADLINES[phase]): void {
    this.stop();
    this.#phase = phase;
    this.#left = deadline;
    this.#run();
  }

  pause(): void {
    if (this.#pauses++ > 0) return;
    if (this.#timer !== undefined) this.#left -= performance.now() - this.#since;
    this.stop();
  }

  resume(): void {
    if (--this.#pauses === 0) this.#run();
  }

  stop(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  #run(): void {
    if (this.#pauses > 0) return;
    this.#since = performance.now();
    this.#timer = setTimeout(() => this.#expired(this.#phase), Math.max(0, this.#left));
  }
}

/** The error for a phase that has expired; `description` is `user@host:port`. */
export function tookTooLong(phase: Phase, description: string): HoldfastError {
  const [doing, hint] = {
    resolve: ["resolve the name of", "Check the name server"],
    connect: [
      "connect to",
      "Check that the host is up and not behind a firewall, or raise -o ConnectTimeout=SECONDS",
    ],
    kex: ["exchange keys with", "Check that an SSH server listens on this port"],
    authenticate: ["authenticate as", "The host is slow to answer: look into its sshd log"],
  }[phase];
  return new HoldfastError("timeout", `Cannot ${doing} ${description}: no answer in time\n${hint}`);
}
