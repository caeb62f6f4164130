/** Keeps to the number of sessions that an SSH server allows on one connection (MaxSessions). Used by `direct_host.ts`. */
import { HoldfastError } from "../core/errors.ts";

/**
 * - Learns the limit from the server's refusals; who comes then waits, first come, first served.
 * - Who keeps a session that it could do without is asked to give it back while others wait; see {@linkcode spare}.
 */
export class SessionQueue {
  #open = 0;
  /** Of the open ones, those that are there to stay. */
  #kept = 0;
  #limit = Infinity;
  readonly #waiting: (() => void)[] = [];
  /** Those that can give a session back. */
  readonly #spare: Set<() => void> = new Set();

  /** Opens a session when there is room; the caller says `release` when the server has freed it. */
  async take<T>(open: () => Promise<T>): Promise<T> {
    for (let alone = 0;;) {
      while (this.#open >= this.#limit) {
        if (this.#kept >= this.#limit) {
          const text =
            "all sessions that the host allows are in use for good (see sshd's MaxSessions)";
          throw new HoldfastError("limit", `Cannot open a session: ${text}`);
        }
        for (const giveBack of [...this.#spare]) giveBack();
        await new Promise<void>((resolve) => this.#waiting.push(resolve));
      }
      this.#open++;
      try {
        return await open();
      } catch (error) {
        const full = error instanceof HoldfastError && error.kind === "limit";
        if (full && this.#open > 1) {
          this.#open--;
          this.#limit = this.#open;
        } else if (full && alone++ === 0) {
          // sshd frees closed sessions only after all that it has read: those that closed just before this may count.
          this.#open--;
        } else {
          this.release();
          throw error;
        }
      }
    }
  }

  release(): void {
    this.#open--;
    const next = this.#waiting.shift();
    if (next) next();
    else this.#limit = Infinity;
  }

  /** One of the open sessions is not given back before the connection ends: nobody waits for that one. */
  keep(): void {
    this.#kept++;
    for (const next of this.#waiting.splice(0)) next();
  }

  /** `giveBack` is called when somebody waits for a session, until the returned function is. */
  spare(giveBack: () => void): () => void {
    this.#spare.add(giveBack);
    if (this.#waiting.length > 0) giveBack();
    return () => this.#spare.delete(giveBack);
  }
}
