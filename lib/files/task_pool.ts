/** Runs tasks beside each other within bounds; for `tree_receiver.ts`. */

/** Tasks that run at once, and the bytes they may hold in memory. */
const TASKS = 64;
const HELD = 8 * 1024 * 1024;

export class TaskPool {
  readonly #onError: (error: unknown) => void;
  readonly #tasks: Set<Promise<void>> = new Set();
  #held = 0;

  constructor(onError: (error: unknown) => void) {
    this.#onError = onError;
  }

  /** Waits while too much is under way. `bytes`: what the task holds until it ends. */
  async start(bytes: number, task: () => Promise<void>): Promise<void> {
    while (this.#tasks.size >= TASKS || (this.#held > 0 && this.#held + bytes > HELD)) {
      await Promise.race(this.#tasks);
    }
    this.spawn(bytes, task);
  }

  /** Starts it in any case; resolves when it has ended, well or not. */
  spawn(bytes: number, task: () => Promise<void>): Promise<void> {
    this.#held += bytes;
    const running: Promise<void> = task().catch(this.#onError).then(() => {
      this.#held -= bytes;
      this.#tasks.delete(running);
    });
    this.#tasks.add(running);
    return running;
  }

  /** Resolves when no task runs, those included that tasks have started. */
  async settled(): Promise<void> {
    while (this.#tasks.size > 0) await Promise.all(this.#tasks);
  }
}
