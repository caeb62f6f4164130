/**
 * One session of an SSH connection that is kept for what must not wait for others: a shell that waits for its line.
 * Used by `direct_host.ts`, so that what is running can be signalled when a server allows no more sessions.
 */
import type { Child } from "../core/host.ts";
import type { SessionQueue } from "./session_queue.ts";

/** What waits, for any login shell. */
const WAIT = `exec sh -c 'IFS= read -r l&&eval "$l"'`;

/** Attempts to open the next one in the place of one that was used: sshd may free that a little late. */
const ATTEMPTS = 10;

export type Session = Child & { closed: Promise<void> };

/**
 * - Held from {@linkcode hold} to {@linkcode drop}, unless it turns out to be the only one.
 * - FIFO: who comes while it is used gets the next one, in the same place.
 */
export class ReserveSession {
  readonly #sessions: SessionQueue;
  readonly #open: (line: string) => Promise<Session>;
  /** None is held; one is being opened; it waits for a line; it has got one. */
  #state: "none" | "opening" | "idle" | "used" = "none";
  #idle: Session | null = null;
  #wanted = false;
  /** It was in the way of what it is for. */
  #tooMuch = false;
  readonly #waiting: ((session: Session | null) => void)[] = [];

  constructor(sessions: SessionQueue, open: (line: string) => Promise<Session>) {
    this.#sessions = sessions;
    this.#open = open;
  }

  /** Where there is room for it. */
  hold(): void {
    this.#wanted = true;
    if (this.#state !== "none" || this.#tooMuch) return;
    this.#state = "opening";
    this.#sessions.now(() => this.#open(WAIT)).then(
      (session) => this.#offer(session),
      () => this.#end(),
    );
  }

  /** Nothing is left that could have to be signalled. */
  drop(): void {
    this.#wanted = false;
    if (this.#state !== "idle") return;
    const session = this.#idle!;
    this.#state = "used";
    void session.stdin.close();
    session.stdout.cancel();
    session.stderr.cancel();
  }

  /** Runs a line of a POSIX shell in it; null when none is held. */
  async run(line: string): Promise<Session | null> {
    if (this.#state === "none") return null;
    const session = this.#state === "idle"
      ? this.#take()
      : await new Promise<Session | null>((resolve) => this.#waiting.push(resolve));
    await session?.stdin.write(new TextEncoder().encode(`${line}\n`)).catch(() => {});
    return session;
  }

  #take(): Session {
    this.#state = "used";
    return this.#idle!;
  }

  #offer(session: Session): void {
    this.#idle = session;
    this.#state = "idle";
    const withdraw = this.#sessions.spare(() => {
      if (this.#sessions.busy > 1 || this.#state !== "idle") return;
      this.#tooMuch = true;
      this.drop();
    });
    void session.closed.then(() => {
      withdraw();
      void this.#next();
    });
    const next = this.#waiting.shift();
    if (next) next(this.#take());
    else if (!this.#wanted) this.drop();
  }

  /** The place of one that ended goes to the next. */
  async #next(): Promise<void> {
    this.#idle = null;
    this.#state = "opening";
    for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
      if ((!this.#wanted || this.#tooMuch) && this.#waiting.length === 0) break;
      try {
        return this.#offer(await this.#open(WAIT));
      } catch {
        // It is too early, or the connection is gone.
      }
    }
    this.#end();
    this.#sessions.release();
  }

  #end(): void {
    this.#state = "none";
    for (const give of this.#waiting.splice(0)) give(null);
  }
}
