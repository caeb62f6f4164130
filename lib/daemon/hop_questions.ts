/** What is asked while a hop is opened: passwords, and the built file that it is to be given. For `hop_connection.ts`. */
import { toHoldfastError } from "../core/errors.ts";
import { decodeJson, type JsonObject } from "../core/json.ts";
import { printable } from "../core/printable.ts";
import { CONNECTION_METHODS } from "../parent/connection_methods.ts";

/** How often a context may ask for a password of one hop, and characters of a tool's words in the question. */
const QUESTIONS = 3;
const PROMPT = 200;

export interface HopQuestionsOptions {
  method: string;
  target: string;
  /** A password that need not be asked for; used once. */
  password?: string;
  /** Asks a person. */
  ask: (prompt: string) => Promise<string | null>;
  /** Brings the built file for a target such as `linux-x64` to the context that asks; resolves with its path there. */
  bring: (target: string) => Promise<string>;
}

export class HopQuestions {
  readonly #options: HopQuestionsOptions;
  /** Answers the next question for a password. */
  #known: string | undefined;
  /** The last answer, while it may be wanted once more. */
  #last: string | undefined;
  #questions = 0;
  #waiting = 0;

  constructor(options: HopQuestionsOptions) {
    this.#options = options;
    this.#known = options.password;
  }

  /** A question is being answered. */
  get areOpen(): boolean {
    return this.#waiting > 0;
  }

  /** Answers a context, which is not trusted to ask only what its tool does. */
  async answer(question: Uint8Array): Promise<JsonObject> {
    this.#waiting++;
    try {
      const { prompt, payload } = decodeJson(question);
      if (payload !== undefined) return await this.#bring(String(payload));
      const asks = CONNECTION_METHODS[this.#options.method].asks && ++this.#questions <= QUESTIONS;
      return { ok: asks ? await this.password(String(prompt)) : null };
    } catch {
      return { ok: null }; // Nobody can answer what makes no sense.
    } finally {
      this.#waiting--;
    }
  }

  /** A password that the hop's tool wants: the one that is known, once, or what the user says. */
  async password(prompt: string): Promise<string | null> {
    const { target, ask } = this.#options;
    const known = this.#known;
    this.#known = undefined;
    const answer = known ?? await ask(`${target}: ${printable(prompt).slice(0, PROMPT)}`);
    this.#last = answer ?? undefined;
    return answer;
  }

  /** The hop could be entered, so the last answer was right. `again`: it will be once more, by the same tool. */
  entered({ again }: { again: boolean }): void {
    if (again) this.#known = this.#last ?? this.#known;
    this.#last = undefined;
  }

  async #bring(target: string): Promise<JsonObject> {
    try {
      return { ok: await this.#options.bring(target) };
    } catch (error) {
      return { error: { ...toHoldfastError(error).toWire() } };
    }
  }
}
