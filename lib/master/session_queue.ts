/** Keeps to the number of sessions that an SSH server allows on one connection (MaxSessions). Used by `direct_host.ts`. */
import { HoldfastError } from "../core/errors.ts";

/** Refusals in a row, with nothing open that could end, after which it is one. */
const PATIENCE = 10;

/**
 * - Learns the limit from the server's refusals; who comes then waits, first come, first served.
 * - Once it is known, one session is left for what must not wait, such as a signal: {@linkcode now}.
 * - Who keeps a session that it could do without is asked to give it back while others wait; see {@linkcode spare}.
 */
export class SessionQueue {
  /** Open or being opened. */
  #open = 0;
  /** Open; the most there were at one time; and those that are there to stay. */
  #held = 0;
  #most = 0;
  #kept = 0;
  #limit = Infinity;
  readonly #waiting: (() => void)[] = [];
  /** Those that can give a session back. */
  readonly #spare: Set<() => void> = new Set();

  /** All that the server allows are there to stay. */
  get isTaken(): boolean {
    return this.#kept >= this.#limit;
  }

  /** Opens a session when there is room; the caller says `release` when the server has freed it. */
  async take<T>(open: () => Promise<T>): Promise<T> {
    let waited = false;
    for (let refusals = 0;;) {
      while (this.#open >= this.#room) {
        if (this.isTaken) throw full();
        const turn = this.#turn(waited);
        for (const giveBack of [...this.#spare]) giveBack();
        await turn;
        waited = true;
      }
      try {
        return await this.#start(open);
      } catch (error) {
        if (!isFull(error) || (this.#held === 0 && ++refusals === PATIENCE)) {
          this.#wake();
          throw error;
        }
        this.#learn();
      }
    }
  }

  /** Opens a session at once or, with `limit`, not at all. It is released as any other. */
  async now<T>(open: () => Promise<T>): Promise<T> {
    if (this.#open >= this.#limit) throw full();
    try {
      return await this.#start(open);
    } catch (error) {
      if (isFull(error)) this.#learn();
      this.#wake();
      throw error;
    }
  }

  release(): void {
    this.#open--;
    this.#held--;
    this.#wake();
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

  /** Sessions for what can wait. */
  get #room(): number {
    return Math.min(this.#limit, Math.max(this.#limit - 1, this.#kept + 1));
  }

  async #start<T>(open: () => Promise<T>): Promise<T> {
    this.#open++;
    try {
      const opened = await open();
      this.#most = Math.max(this.#most, ++this.#held);
      return opened;
    } catch (error) {
      this.#open--;
      throw error;
    }
  }

  /** sshd frees closed sessions only after all that it has read: one that it allowed before is refused for the moment. */
  #learn(): void {
    if (this.#held > 0 && this.#held >= this.#most) this.#limit = this.#held;
  }

  /** Who was woken and finds no room waits on in its place. */
  #turn(waited: boolean): Promise<void> {
    return new Promise((resolve) => {
      if (waited) this.#waiting.unshift(resolve);
      else this.#waiting.push(resolve);
    });
  }

  #wake(): void {
    this.#waiting.shift()?.();
  }
}

function isFull(error: unknown): boolean {
  return error instanceof HoldfastError && error.kind === "limit";
}

function full(): HoldfastError {
  const text = "all that the host allows are in use (see sshd's MaxSessions)";
  return new HoldfastError("limit", `Cannot open a session: ${text}`);
}
