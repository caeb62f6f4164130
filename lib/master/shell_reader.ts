/** A file that is read through a shell; for `shell_files.ts`. */
import { HoldfastError } from "../core/errors.ts";
import type { OpenFile } from "../core/host.ts";
import { shellReason } from "./shell_reason.ts";
import type { ShellReply, ShellTalk } from "./shell_talk.ts";

/** Bytes of one answer, and answers that may be under way. */
const CHUNK = 256 * 1024;
const OUTSTANDING = 8;

/**
 * - Reads ahead, once the first chunk was a whole one.
 * - A file that gives less than was asked for may still have more (those of /proc): it is asked on from there.
 */
export class ShellReader implements OpenFile {
  readonly #shell: ShellTalk;
  readonly #path: string;
  readonly #word: string;
  /** Where the next request begins. */
  #position = 0;
  #ahead: Promise<ShellReply>[] = [];
  #rest: Uint8Array = new Uint8Array(0);
  #ended = false;

  private constructor(shell: ShellTalk, { path, word }: { path: string; word: string }) {
    this.#shell = shell;
    this.#path = path;
    this.#word = word;
  }

  /** Resolves with the file when its beginning has been read. */
  static async open(
    shell: ShellTalk,
    place: { path: string; word: string },
  ): Promise<ShellReader> {
    const reader = new ShellReader(shell, place);
    reader.#ahead.push(reader.#ask());
    await reader.#next("open");
    return reader;
  }

  async read(buffer: Uint8Array): Promise<number | null> {
    while (this.#rest.length === 0) {
      if (this.#ended) return null;
      const reading = this.#position > 0 && this.#position % CHUNK === 0;
      while (this.#ahead.length < (reading ? OUTSTANDING : 1)) this.#ahead.push(this.#ask());
      await this.#next("read");
    }
    const part = this.#rest.subarray(0, buffer.length);
    buffer.set(part);
    this.#rest = this.#rest.subarray(part.length);
    return part.length;
  }

  write(): Promise<void> {
    throw new HoldfastError("io", `Cannot write ${this.#name}: it is open for reading`);
  }

  async sync(): Promise<void> {}

  async close(): Promise<void> {
    await Promise.allSettled(this.#ahead.splice(0));
  }

  get #name(): string {
    return JSON.stringify(this.#path);
  }

  #ask(): Promise<ShellReply> {
    const at = this.#position;
    this.#position += CHUNK;
    // dd goes to a multiple of its block at once; tail gets everywhere, and may read what comes before.
    const line = at % CHUNK === 0
      ? `dd if=${this.#word} bs=${CHUNK} skip=${at / CHUNK} count=1`
      : `tail -c +${at + 1} ${this.#word}|h ${CHUNK}`;
    const reply = this.#shell.run(line);
    reply.catch(() => {});
    return reply;
  }

  async #next(what: string): Promise<void> {
    const reply = await this.#ahead.shift()!;
    if (reply.status !== 0) throw shellReason(`${what} ${this.#name}`, reply.said);
    this.#rest = reply.data;
    this.#ended = reply.data.length === 0;
    const missing = CHUNK - reply.data.length;
    if (missing === 0) return;
    // What was asked for behind it lies too far on.
    const asked = this.#ahead.splice(0);
    await Promise.allSettled(asked);
    this.#position -= CHUNK * asked.length + missing;
  }
}
