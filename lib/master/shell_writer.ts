/** A file that is written through a shell; for `shell_files.ts`. */
import { HoldfastError } from "../core/errors.ts";
import type { OpenFile } from "../core/host.ts";
import type { CheckTool, ContentSum } from "./content_check.ts";
import { shellReason } from "./shell_reason.ts";
import type { ShellTalk } from "./shell_talk.ts";

/** Bytes that one line carries, and lines that may be under way. */
const CHUNK = 256 * 1024;
const OUTSTANDING = 8;

export interface ShellWriterOptions {
  path: string;
  /** The path in a line. */
  word: string;
  /** Set when the file is complete; as it was created when undefined. */
  mode: number | undefined;
  check: CheckTool;
  onClose(): void;
}

/**
 * - Appends to a file that is empty and ours, and can be written whatever mode it is to have.
 * - `sync` makes it durable, sees that what is there is what was written, and sets time and mode; it reports what
 *   failed before.
 */
export class ShellWriter implements OpenFile {
  readonly #shell: ShellTalk;
  readonly #options: ShellWriterOptions;
  readonly #sum: ContentSum;
  #mode: number | undefined;
  #time: string | null = null;
  #pending: Uint8Array[] = [];
  #size = 0;
  readonly #writes: Set<Promise<void>> = new Set();
  #failure: HoldfastError | null = null;

  constructor(shell: ShellTalk, options: ShellWriterOptions) {
    this.#shell = shell;
    this.#options = options;
    this.#mode = options.mode;
    this.#sum = options.check.start();
  }

  read(): Promise<number | null> {
    throw new HoldfastError("io", `Cannot read ${this.#name}: it is open for writing`);
  }

  setMode(mode: number): void {
    this.#mode = mode;
  }

  /** `stamp`: as `touch -t` wants it, in UTC. */
  setTime(stamp: string): void {
    this.#time = stamp;
  }

  async write(bytes: Uint8Array): Promise<void> {
    this.#sum.update(bytes);
    for (let at = 0; at < bytes.length; at += CHUNK) {
      const part = bytes.slice(at, at + CHUNK);
      if (this.#size + part.length > CHUNK) await this.#flush();
      this.#pending.push(part);
      this.#size += part.length;
    }
    if (this.#failure) throw this.#failure;
  }

  async sync(): Promise<void> {
    await this.#flush();
    await Promise.all(this.#writes);
    if (this.#failure) throw this.#failure;
    const { word, check } = this.#options;
    // Not every dd can do it, and not every file system.
    const durable = `dd if=/dev/null of=${word} conv=notrunc,fsync 2>/dev/null||sync`;
    const mode = this.#mode === undefined
      ? ""
      : `&&chmod ${this.#mode.toString(8).padStart(4, "0")} ${word}`;
    const time = this.#time === null ? "" : `&&TZ=UTC0 touch -t ${this.#time} ${word}`;
    const reply = await this.#shell.run(`${durable};${check.command} <${word}${time}${mode}`);
    if (reply.status !== 0) throw shellReason(`sync ${this.#name}`, reply.said);
    const found = new TextDecoder().decode(reply.data);
    if (found.startsWith(this.#sum.value())) return;
    const text = `Cannot write ${this.#name}: its content was damaged on the way`;
    throw new HoldfastError("corrupt", text);
  }

  async close(): Promise<void> {
    this.#pending = [];
    await Promise.all(this.#writes);
    this.#options.onClose();
  }

  get #name(): string {
    return JSON.stringify(this.#options.path);
  }

  /** Hands on what waits. Whatever becomes of it, the line takes all of its input. */
  async #flush(): Promise<void> {
    while (this.#writes.size >= OUTSTANDING) await Promise.race(this.#writes);
    if (this.#size === 0 || this.#failure) return;
    const bytes = new Uint8Array(await new Blob(this.#pending as BlobPart[]).arrayBuffer());
    this.#pending = [];
    this.#size = 0;
    const line = `h ${bytes.length}|{ cat >>${this.#options.word};s=$?;cat >/dev/null;exit $s;}`;
    const write: Promise<void> = this.#shell.run(line, bytes)
      .then(({ status, said }) => {
        if (status !== 0) this.#failure ??= shellReason(`write ${this.#name}`, said);
      }, (error) => {
        this.#failure ??= error;
      })
      .then(() => void this.#writes.delete(write));
    this.#writes.add(write);
  }
}
