/** The passwords of one hop that is opened again and again. Used by `hop_endpoint.ts`. */
import { toHoldfastError } from "../core/errors.ts";
import type { AskPassword } from "../parent/tool_talk.ts";

/**
 * - What opened the hop once answers the same question of every later opening.
 * - What did not is forgotten, and the person is asked: a tool that asks again in one opening did not take it.
 */
export class RememberedAnswers {
  readonly #ask: AskPassword;
  /** By the tool's words. */
  readonly #known: Map<string, string> = new Map();

  constructor(ask: AskPassword) {
    this.#ask = ask;
  }

  /** Runs one opening. */
  async during<T>(open: (ask: AskPassword) => Promise<T>): Promise<T> {
    const given = new Map<string, string>();
    try {
      const opened = await open(async (question, how) => {
        const { prompt } = question;
        const answer = (given.has(prompt) ? undefined : this.#known.get(prompt)) ??
          await this.#ask(question, how);
        if (answer !== null) given.set(prompt, answer);
        return answer;
      });
      for (const [prompt, answer] of given) this.#known.set(prompt, answer);
      return opened;
    } catch (error) {
      if (toHoldfastError(error).kind === "auth") {
        for (const prompt of given.keys()) this.#known.delete(prompt);
      }
      throw error;
    }
  }
}
