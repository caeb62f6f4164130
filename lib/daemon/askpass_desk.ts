/**
 * Where OpenSSH's questions arrive: ssh runs an askpass program, that is `holdfast askpass`, and its question reaches
 * the user's daemon as any client's call does, cookie and all. For `planner.ts` and `daemon.ts`.
 */
import type { JsonObject } from "../core/json.ts";
import type { LendAskpass } from "../master/openssh_endpoint.ts";
import { quoteWords } from "../core/quote.ts";
import type { RuntimeDir } from "../rendezvous/runtime_dir.ts";
import { selfCommand } from "../rendezvous/self_command.ts";

type Answer = Parameters<LendAskpass>[0];

/** A ticket says which connection a question is about. It is no secret: who may ask is decided by the cookie. */
export class AskpassDesk {
  readonly #dir: RuntimeDir;
  readonly #answers: Map<string, Answer> = new Map();
  #program: Promise<string> | null = null;

  constructor(dir: RuntimeDir) {
    this.#dir = dir;
  }

  /** Which only this user can enter. */
  get directory(): string {
    return this.#dir.path;
  }

  /** The environment under which ssh asks `answer`, until it is closed. */
  async lend(answer: Answer): Promise<{ env: Record<string, string>; close(): void }> {
    this.#program ??= writeProgram(this.#dir);
    const ticket = crypto.randomUUID();
    const env: Record<string, string> = {
      SSH_ASKPASS: await this.#program,
      SSH_ASKPASS_REQUIRE: "force",
      // Before OpenSSH 8.4 a display is what decides.
      DISPLAY: "holdfast",
      HOLDFAST_DIR: this.#dir.path,
      HOLDFAST_ASKPASS: ticket,
    };
    const cache = Deno.env.get("DENO_DIR");
    if (cache !== undefined) env.DENO_DIR = cache;
    this.#answers.set(ticket, answer);
    return { env, close: () => void this.#answers.delete(ticket) };
  }

  /** `askpass.ask`: the answer is null when nobody gives one, or nobody waits for it any more. */
  async ask({ ticket, prompt, hint }: JsonObject, signal: AbortSignal): Promise<JsonObject> {
    const answer = this.#answers.get(String(ticket));
    if (!answer) return { answer: null };
    const known = hint === "confirm" || hint === "none" ? hint : null;
    return { answer: await answer({ prompt: String(prompt), hint: known }, signal) };
  }
}

/** ssh takes one word for the program. Written anew by each daemon: the next one may lie elsewhere. */
async function writeProgram({ path }: RuntimeDir): Promise<string> {
  const program = `${path}/askpass`;
  const temporary = `${program}.${Deno.pid}`;
  const script = `#!/bin/sh\nexec ${quoteWords(selfCommand("askpass"))} -- "$1"\n`;
  await Deno.writeTextFile(temporary, script, { mode: 0o700 });
  await Deno.rename(temporary, program);
  return program;
}
