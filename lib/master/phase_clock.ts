/**
 * The deadlines of a connection attempt, one per phase. Waiting for a person does not count.
 * Used by `ssh_connection.ts`.
 */

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
