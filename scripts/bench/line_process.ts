/** A live process that answers one JSON line per JSON line: our client library, or Mitogen. */

import type { Command, Processes } from "./processes.ts";

/** Answers with `{"ms": number}` or other fields; `{"error": text}` is thrown. */
export class LineProcess {
  readonly #child: Deno.ChildProcess;
  readonly #writer: WritableStreamDefaultWriter<Uint8Array>;
  readonly #lines: ReadableStreamDefaultReader<string>;
  #rest = "";

  constructor(processes: Processes, command: Command) {
    this.#child = processes.spawn(command, { stdin: "piped", stdout: "piped", stderr: "inherit" });
    this.#writer = this.#child.stdin.getWriter();
    this.#lines = this.#child.stdout.pipeThrough(new TextDecoderStream()).getReader();
  }

  /** Sends one request and waits for its answer; not for concurrent use. */
  async ask(request: Record<string, unknown>): Promise<Record<string, unknown>> {
    await this.#writer.write(new TextEncoder().encode(JSON.stringify(request) + "\n"));
    while (!this.#rest.includes("\n")) {
      const { value, done } = await this.#lines.read();
      if (done) throw new Error(`ended with status ${(await this.#child.status).code}`);
      this.#rest += value;
    }
    const end = this.#rest.indexOf("\n");
    const answer = JSON.parse(this.#rest.slice(0, end));
    this.#rest = this.#rest.slice(end + 1);
    if (answer.error !== undefined) throw new Error(answer.error);
    return answer;
  }

  /** Like {@linkcode ask}, for the time that the process itself measured. */
  async time(request: Record<string, unknown>): Promise<number> {
    return (await this.ask(request)).ms as number;
  }

  /** Closes its input, which ends it. */
  async close(): Promise<void> {
    await this.#writer.close().catch(() => {});
    await this.#lines.cancel().catch(() => {});
    await this.#child.status;
  }
}
