/** Runs the bench's processes, times them and ends them by their ids. */

/** A command line with the environment that it gets, and nothing else of ours. */
export interface Command {
  words: string[];
  env: Record<string, string>;
  cwd?: string;
}

/** How much of a failed program's stderr goes into a message. */
const QUOTED = 300;

/** Every process that it started and that still runs. Disposal kills them. */
export class Processes implements AsyncDisposable {
  readonly #live = new Set<Deno.ChildProcess>();

  /** Starts one. */
  spawn(command: Command, streams: Pick<Deno.CommandOptions, "stdin" | "stdout" | "stderr">) {
    const { words: [program, ...args], env, cwd } = command;
    const child = new Deno.Command(program, { args, env, cwd, clearEnv: true, ...streams }).spawn();
    this.#live.add(child);
    child.status.then(() => this.#live.delete(child));
    return child;
  }

  /** Runs one to its end and resolves with the milliseconds it took. Rejects when its status is not 0. */
  async time(command: Command): Promise<number> {
    const start = performance.now();
    const child = this.spawn(command, { stdin: "null", stdout: "null", stderr: "piped" });
    let ended = 0;
    child.status.then(() => ended = performance.now());
    const [text, status] = await Promise.all([new Response(child.stderr).text(), child.status]);
    if (status.success) return ended - start;
    const why = text.trim().slice(-QUOTED) || `status ${status.code}`;
    throw new Error(`${command.words.join(" ")}: ${why}`);
  }

  /** Ends one and waits for its end. */
  async kill(child: Deno.ChildProcess, signal: Deno.Signal = "SIGKILL"): Promise<void> {
    if (!this.#live.has(child)) return;
    child.kill(signal);
    await child.status;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([...this.#live].map((child) => this.kill(child)));
  }
}
