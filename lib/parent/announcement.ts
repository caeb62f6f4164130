/** Finds the word by which what runs behind a tool begins one of its outputs. Used by `tool_talk.ts`. */
import { concat } from "../core/greeting.ts";

export class Announcement {
  readonly #word: string;
  /** As much of the end as the word could begin in. */
  #tail: Uint8Array = new Uint8Array(0);

  constructor(word: string) {
    this.#word = word;
  }

  /** Looks at the next bytes: null while it has not come, then what stands behind it, and how much of `bytes` before. */
  find(bytes: Uint8Array): { rest: Uint8Array; before: number } | null {
    const seen = concat(this.#tail, bytes);
    // One character for each byte, so that places in both are the same.
    const at = new TextDecoder("latin1").decode(seen).indexOf(this.#word);
    const skipped = this.#tail.length;
    this.#tail = seen.slice(-this.#word.length);
    if (at < 0) return null;
    return { rest: seen.slice(at + this.#word.length), before: Math.max(0, at - skipped) };
  }
}
