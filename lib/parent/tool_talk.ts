/** The conversation with a connection method's tool until a shell inside announces itself. Used by `open_hop.ts`. */
import { HoldfastError } from "../core/errors.ts";
import type { Child, ExitStatus } from "../core/host.ts";
import { LIMITS } from "../core/limits.ts";
import { printable } from "../core/printable.ts";
import type { ConnectionMethod } from "./connection_method.ts";
import { Announcement } from "./announcement.ts";
import { peekable, type PeekableSource } from "./peekable.ts";

/** Passwords that a tool may ask for, one after the other. */
const MAX_QUESTIONS = 3;
/** Characters kept of what a tool says. */
const KEPT = 4096;
/** Milliseconds for a tool's last words and its end. */
const GRACE = 2000;

const REFUSED = "the password was refused";

/** A password that a tool wants. */
export interface PasswordQuestion {
  /** The hop's label. */
  hop: string;
  /** The tool's own words, safe to show: `[sudo] password for ann:`. */
  prompt: string;
  /** 1, or more when the tool did not take the answer before. */
  attempt: number;
}

/** Resolves with null when nobody can or will answer. */
export type AskPassword = (
  question: PasswordQuestion,
  options: { signal?: AbortSignal },
) => Promise<string | null>;

export interface ToolTalkOptions {
  method: ConnectionMethod;
  /** The tool's name: what begins so is a message of it that is not complete, and no question. */
  tool: string;
  /** As `hopScript` got it. */
  mark: string;
  /** What the tool may quote in its messages, to be left out of ours. */
  script: string;
  /** The hop's label. */
  hop: string;
  ask: AskPassword;
  /** Milliseconds without an announcement, anew after each answer. */
  deadline: number;
  signal?: AbortSignal;
}

/**
 * - Nothing is written to the tool but answers to its questions, so stdin is clean when the shell has it.
 * - The clock stands still while a person is asked.
 * - After `stop`, `stdout` and `stderr` go on where the conversation ended.
 */
export class ToolTalk {
  readonly stdout: PeekableSource;
  readonly stderr: PeekableSource;
  readonly #child: Child;
  readonly #options: ToolTalkOptions;
  readonly #broken: Promise<never>;
  #break: (error: HoldfastError) => void = () => {};
  #timer: ReturnType<typeof setTimeout> | undefined;
  readonly #onAbort = () => this.#break(new HoldfastError("cancelled", "nobody wants it any more"));
  readonly #decoder = new TextDecoder();
  #said = "";
  /** The last line of what was said, as far as nothing has been answered to it. */
  #unfinished = "";
  #questions = 0;
  /** What was answered: a terminal may show it, and then it must not get into an error. */
  readonly #secrets: string[] = [];

  constructor(child: Child, options: ToolTalkOptions) {
    this.#child = child;
    this.#options = options;
    this.stdout = peekable(child.stdout);
    this.stderr = peekable(child.stderr);
    this.#broken = new Promise((_, reject) => this.#break = reject);
    this.#broken.catch(() => {});
    options.signal?.addEventListener("abort", this.#onAbort);
    if (options.signal?.aborted) this.#onAbort();
    this.#wind();
  }

  /** What the tool has said on stderr or its terminal, the last of it. */
  get said(): string {
    return this.#said;
  }

  /** Resolves with true once both outputs are the shell's, with false when stdout ends before. */
  async untilOpen(): Promise<boolean> {
    const word = `${this.#options.mark}-open\n`;
    let noise = 0;
    // What each has before it is the tool's. Nothing says which comes first: they are two pipes.
    const awaited = new Map(
      [this.stdout, this.stderr].map((source) => [source, new Announcement(word)] as const),
    );
    while (awaited.size > 0) {
      const source = await this.#first(awaited.keys());
      const bytes = await source.read();
      if (!bytes) {
        if (source === this.stdout) return false;
        awaited.delete(source);
        continue;
      }
      if ((noise += bytes.length) > LIMITS.noise) {
        throw new HoldfastError("limit", "the tool prints without end and starts no shell");
      }
      const found = awaited.get(source)!.find(bytes);
      if (found) {
        awaited.delete(source);
        if (found.rest.length) source.unread(found.rest);
      }
      if (source === this.stdout) continue;
      // What the shell follows at once was no question.
      if (found) this.#take(this.#decoder.decode(bytes.subarray(0, found.before)));
      else await this.#hear(this.#decoder.decode(bytes, { stream: true }));
    }
    return true;
  }

  /** After the end of stdout: takes in what is still said, and resolves with the status if there is one soon. */
  async lastWords(): Promise<ExitStatus | null> {
    let timer: ReturnType<typeof setTimeout> | undefined;
    const late = new Promise<null>((resolve) => timer = setTimeout(resolve, GRACE, null));
    const hear = async () => {
      for (let bytes = await this.stderr.read(); bytes; bytes = await this.stderr.read()) {
        this.#take(this.#decoder.decode(bytes, { stream: true }));
      }
    };
    await Promise.race([hear(), late]);
    const status = await Promise.race([this.#child.exit, late]);
    clearTimeout(timer);
    return status;
  }

  /** Why there is no shell, after {@linkcode lastWords}. */
  failure(status: ExitStatus | null): HoldfastError {
    const { method, tool, script } = this.#options;
    let said = this.#said.replaceAll(script, "…").trim();
    for (const secret of this.#secrets) said = said.replaceAll(secret, "…");
    if (method.absent?.test(said)) {
      return new HoldfastError("not_found", `there is no such ${method.noun}`);
    }
    // Where there is no core, env(1) looks for the tool.
    if (status?.code === 127 && said.startsWith("env: ") && said.includes(tool)) {
      return new HoldfastError("not_found", `there is no program ${tool} here`);
    }
    const words = printable(said.replace(/\s*\n\s*/g, "; ").slice(-300));
    const quote = words && ` (${words})`;
    if (method.denied?.test(said)) {
      return new HoldfastError("permission", `${tool} may not do this${quote}`);
    }
    if (this.#questions) return new HoldfastError("auth", REFUSED);
    const how = status
      ? `ended with ${status.signal ?? `status ${status.code}`}`
      : "closed its output";
    return new HoldfastError("bootstrap", `${tool} ${how} before any shell${quote}`);
  }

  /** Ends the conversation; idempotent. */
  stop(): void {
    clearTimeout(this.#timer);
    this.#options.signal?.removeEventListener("abort", this.#onAbort);
  }

  #wind(): void {
    const { deadline } = this.#options;
    this.#timer = setTimeout(() => {
      const text = `no shell answered within ${deadline / 1000} s`;
      this.#break(new HoldfastError("timeout", text));
    }, deadline);
  }

  /** The first of `sources` that has something to read, or has ended. */
  #first(sources: Iterable<PeekableSource>): Promise<PeekableSource> {
    const ready = [...sources].map((source) => source.peek().then(() => source));
    return Promise.race([...ready, this.#broken]);
  }

  #take(text: string): void {
    this.#said = (this.#said + text).slice(-KEPT);
    this.#unfinished = (this.#unfinished + text).replace(/^[^]*[\r\n]/, "");
  }

  async #hear(text: string): Promise<void> {
    this.#take(text);
    const { method, tool, mark } = this.#options;
    const ready = `${mark}-ready`;
    if (this.#said.includes(ready)) {
      this.#said = this.#said.replace(ready, "");
      return await this.#write(mark);
    }
    const question = this.#unfinished;
    if (method.asks && !question.startsWith(`${tool}: `) && /[:：] *$/.test(question)) {
      this.#said = this.#said.slice(0, -question.length);
      this.#unfinished = "";
      await this.#answer(printable(question.trim().slice(-200)));
    }
  }

  async #answer(prompt: string): Promise<void> {
    const { hop, ask, signal } = this.#options;
    if (++this.#questions > MAX_QUESTIONS) {
      throw new HoldfastError("auth", REFUSED);
    }
    clearTimeout(this.#timer);
    const asked = ask({ hop, prompt, attempt: this.#questions }, { signal });
    const password = await Promise.race([asked, this.#broken]);
    if (password === null) {
      const text = this.#questions > 1
        ? `${REFUSED}, and nobody can be asked for another`
        : "it wants a password, and nobody can be asked; use --password-command";
      throw new HoldfastError("auth", text);
    }
    this.#wind();
    // Were there a second line, it would be read by what runs inside.
    const line = password.replace(/[\r\n][^]*/, "");
    if (line) this.#secrets.push(line);
    await this.#write(line);
  }

  async #write(line: string): Promise<void> {
    const bytes = new TextEncoder().encode(`${line}\n`);
    // A tool that has ended takes nothing; its end is noticed elsewhere.
    await Promise.race([this.#child.stdin.write(bytes).catch(() => {}), this.#broken]);
  }
}
