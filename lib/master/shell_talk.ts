/**
 * A held `sh` that carries out lines one after the other, over the standard streams of any process. Used by
 * `shell_files.ts`.
 */
import { Buffer } from "node:buffer";
import { HoldfastError } from "../core/errors.ts";
import { hex } from "../core/greeting.ts";
import type { Child } from "../core/host.ts";
import { printable } from "../core/printable.ts";
import { quoteWord } from "../core/quote.ts";

/** Whether `h` does. */
const EXACT = `[ "$(printf abcdef|{ h 3 2>/dev/null;printf .;cat;})" = abc.def ]`;

/**
 * Ways to pass on `$1` bytes and take no more. Not every head keeps to that, nor knows every dd the flag; the last is
 * slow, and everywhere.
 */
const WAYS = [
  "head -c $1",
  "dd bs=$1 count=1 iflag=fullblock 2>/dev/null",
  "dd bs=1 count=$1 2>/dev/null",
];

/**
 * A shell reads its lines byte by byte, so what follows a line is there for what that runs. The mark comes over the
 * input, too: in the arguments everybody on the machine could read it. `h N` passes on exactly N bytes.
 */
const LOOP = "IFS= read -r T;LC_ALL=C;export LC_ALL;N=$(printf '\\nx');N=${N%x};" +
  WAYS.map((way) => `h(){ ${way};};${EXACT}||`).join("") + "exit 1;" +
  'exec 3>&1;while IFS= read -r l;do e=$(eval "$l" 2>&1 >&3 3>&-);s=$?;' +
  'printf "%s%s %s%s" "$T" "$s" "$e" "$T" >&3;done';

/** Characters of what the last shell said that an error shows. */
const SHOWN = 200;

/** What came of a line. */
export interface ShellReply {
  status: number;
  /** Its standard output. */
  data: Uint8Array;
  /** What it said on stderr. */
  said: string;
}

interface Waiting {
  resolve(reply: ShellReply): void;
  reject(error: HoldfastError): void;
}

/** One word as a line must hold it, whatever is in it; line breaks stand in `$N`. */
export function lineWord(word: string): string {
  return word.split("\n").map(quoteWord).join('"$N"');
}

/** Starts the shell by `start`, and makes sure that bytes pass through it as they are. Rejects with `io`. */
export async function openShell(start: (words: string[]) => Promise<Child>): Promise<ShellTalk> {
  const every = Uint8Array.from({ length: 256 }, (_, byte) => byte);
  const shell = new ShellTalk(await start(["sh", "-c", LOOP]));
  const reply = await shell.run("h 256", every).catch(() => null);
  if (reply && Buffer.compare(reply.data, every) === 0) return shell;
  shell.close();
  await shell.closed;
  const text = "Cannot carry files: no shell there passes bytes on as they are";
  const said = printable(shell.complaint.trim());
  throw new HoldfastError("io", said ? `${text} (${said})` : text);
}

/**
 * - One line at a time, in the order of the calls; lines are sent before the answers to earlier ones come.
 * - Lines share nothing but `$N` and `h`: each runs in a subshell, in the directory that the shell began in.
 */
export class ShellTalk {
  /** Resolves when the shell has ended. */
  readonly closed: Promise<void>;
  /** What it said besides its answers. */
  complaint = "";
  readonly #child: Child;
  readonly #mark: Buffer = Buffer.from(`hf${hex(crypto.getRandomValues(new Uint8Array(16)))}`);
  readonly #waiting: Waiting[] = [];
  #writing: Promise<void>;
  #gone: HoldfastError | null = null;

  constructor(child: Child) {
    this.#child = child;
    this.#writing = this.#write(Buffer.from(`${this.#mark}\n`));
    this.closed = Promise.all([this.#listen(), this.#hearComplaints(), child.exit.catch(() => {})])
      .then(() => {});
  }

  /** `input` is what the line reads, all of it; without, its input is empty. A line holds no line break. */
  async run(line: string, input?: Uint8Array): Promise<ShellReply> {
    if (this.#gone) throw this.#gone;
    const reply = new Promise<ShellReply>((resolve, reject) => {
      this.#waiting.push({ resolve, reject });
    });
    const text = Buffer.from(input ? `${line}\n` : `{ ${line};}</dev/null\n`);
    this.#writing = this.#writing.then(() => this.#write(text));
    if (input) this.#writing = this.#writing.then(() => this.#write(input));
    return await reply;
  }

  /** Idempotent. The shell ends when its input does. */
  close(): void {
    void this.#writing.then(() => this.#child.stdin.close());
  }

  async #write(bytes: Uint8Array): Promise<void> {
    // A shell that has ended takes nothing; its end is told where its answers are read.
    await this.#child.stdin.write(bytes).catch(() => {});
  }

  async #listen(): Promise<void> {
    let seen = Buffer.alloc(0);
    /** Before this there is no whole mark. */
    let clean = 0;
    let data: Buffer | null = null;
    try {
      for (;;) {
        const bytes = await this.#child.stdout.read();
        if (bytes === null) break;
        seen = Buffer.concat([seen, bytes]);
        for (let at = seen.indexOf(this.#mark, clean); at >= 0; at = seen.indexOf(this.#mark)) {
          const part = seen.subarray(0, at);
          seen = seen.subarray(at + this.#mark.length);
          if (data === null) data = part;
          else {
            this.#answer(data, part.toString());
            data = null;
          }
        }
        clean = Math.max(0, seen.length - this.#mark.length);
      }
    } catch {
      // As if it had ended.
    }
    this.#gone = new HoldfastError("disconnected", "the shell there has ended");
    for (const { reject } of this.#waiting.splice(0)) reject(this.#gone);
    this.close();
  }

  #answer(data: Uint8Array, rest: string): void {
    const space = rest.indexOf(" ");
    const reply = { status: Number(rest.slice(0, space)), data, said: rest.slice(space + 1) };
    this.#waiting.shift()?.resolve(reply);
  }

  async #hearComplaints(): Promise<void> {
    const decoder = new TextDecoder();
    const { stderr } = this.#child;
    for (let bytes = await stderr.read(); bytes; bytes = await stderr.read()) {
      this.complaint = (this.complaint + decoder.decode(bytes, { stream: true })).slice(-SHOWN);
    }
  }
}
