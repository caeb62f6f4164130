/** Keeps to the number of sessions that an SSH server allows on one connection (MaxSessions). Used by `direct_host.ts`. */
import { HoldfastError } from "../core/errors.ts";

/** Attempts when a refusal may be out of date: sshd frees closed sessions only after all that it has read. */
const QUICK = 3;
/** Attempts when nothing is open that could end. */
const PATIENCE = 10;

/**
 * The limit is not known, and other programs may share it: only a refusal tells.
 *
 * - Who is refused waits until a session ends, first come, first served; who comes then waits behind.
 * - Who keeps a session that it could do without is asked to give it back while others wait; see {@linkcode spare}.
 */
export class SessionQueue {
  /** Sessions that are being opened; that are open; the most there were at one time; those that are there to stay. */
  #opening = 0;
  #held = 0;
  #most = 0;
  #kept = 0;
  #releases = 0;
  readonly #waiting: (() => void)[] = [];
  /** Those that can give a session back. */
  readonly #spare: Set<() => void> = new Set();

  /** Sessions that are open or may be, but for those that are there to stay. */
  get busy(): number {
    return this.#held + this.#opening - this.#kept;
  }

  /** Opens a session when there is room; the caller says `release` when the server has freed it. */
  async take<T>(open: () => Promise<T>): Promise<T> {
    if (this.#waiting.length > 0) await this.#turn("push");
    for (let attempt = 1;; attempt++) {
      const releases = this.#releases;
      try {
        const opened = await this.now(open);
        this.#wake(); // there may be room for more
        return opened;
      } catch (error) {
        const alone = this.busy === 0; // nothing will end that could make room
        if (!isFull(error) || (alone && attempt >= PATIENCE)) {
          this.#wake();
          throw error;
        }
        const outdated = this.#releases !== releases || this.#held < this.#most;
        if (alone || (outdated && attempt < QUICK)) continue;
        await this.#turn("unshift");
        attempt = 0;
      }
    }
  }

  /** Opens a session at once or, with `limit`, not at all. It is released as any other. */
  async now<T>(open: () => Promise<T>): Promise<T> {
    this.#opening++;
    try {
      const opened = await open();
      this.#most = Math.max(this.#most, ++this.#held);
      return opened;
    } finally {
      this.#opening--;
    }
  }

  release(): void {
    this.#held--;
    this.#releases++;
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

  async #turn(place: "push" | "unshift"): Promise<void> {
    const turn = new Promise<void>((resolve) => this.#waiting[place](resolve));
    for (const giveBack of [...this.#spare]) giveBack();
    await turn;
  }

  #wake(): void {
    this.#waiting.shift()?.();
  }
}

function isFull(error: unknown): boolean {
  return error instanceof HoldfastError && error.kind === "limit";
}
