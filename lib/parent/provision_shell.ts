/** A target's shell that takes lines, as a parent sees it: asks it to look around, to take bytes and to unpack them. */
import { HoldfastError } from "../core/errors.ts";
import type { ByteSink, ByteSource } from "../core/host.ts";
import { LIMITS } from "../core/limits.ts";
import { printable } from "../core/printable.ts";
import { quoteWord } from "../core/quote.ts";
import { BLOCK, PROVISION_SCRIPT } from "./provision_script.ts";

/** Milliseconds for one answer: a chunk of bytes over a slow link, or an unpacking by a slow machine. */
const PATIENCE = 180_000;
/** Characters of a line that are of interest. */
const LINE = 4096;

/** What a target is like, as far as it decides whether it can be given a runtime. */
export interface Findings {
  /** As `uname -s` and `uname -m` say: `Linux x86_64`. */
  system: string;
  /** Why no runtime of ours would run there. */
  obstacles: string[];
  /** Directories that take programs, best first, with the KiB that are free there; NaN where that is unknown. */
  places: { path: string; free: number }[];
  /** Those that do not, and why. */
  refused: string[];
  /** Files that have been received in part, with the bytes that are there. */
  parts: Map<string, number>;
  /** Built files that are there whole. */
  kept: Set<string>;
  /** Directories with a runtime that an earlier parent has put there. */
  ready: string[];
}

/** The child's other ends stay the caller's: whoever made it ends it. */
export class ProvisionShell {
  readonly #stdin: ByteSink;
  readonly #stdout: ByteSource;
  readonly #decoder = new TextDecoder();
  #text: string;
  #noise = 0;

  /** `heard`: what it has said already. */
  constructor({ stdin, stdout }: { stdin: ByteSink; stdout: ByteSource }, { heard = "" } = {}) {
    this.#text = heard;
    this.#stdin = stdin;
    this.#stdout = stdout;
  }

  /** Waits for a shell that must pass over other bytes first. */
  async ready(): Promise<void> {
    await this.#until("shell");
  }

  async probe(): Promise<Findings> {
    const script = new TextEncoder().encode(PROVISION_SCRIPT);
    const { length } = script;
    const fetch = `dd bs=1 count=${length}`;
    await this.#say(`eval "$({ ${fetch}||busybox ${fetch};} 2>/dev/null)"`);
    await this.#stdin.write(script);
    await this.#say("probe");
    const findings: Findings = {
      system: "",
      obstacles: [],
      places: [],
      refused: [],
      parts: new Map(),
      kept: new Set(),
      ready: [],
    };
    for (;;) {
      const [word, rest] = await this.#answer();
      const [first, ...more] = rest.split(" ");
      const path = more.join(" ");
      if (word === "end") return findings;
      if (word === "system") findings.system = rest;
      else if (word === "missing") findings.obstacles.push(`it has no ${rest}`);
      else if (word === "libraries") findings.obstacles.push(rest);
      else if (word === "place") {
        findings.places.push({ path, free: first === "" ? NaN : Number(first) });
      } else if (word === "refused") findings.refused.push(rest);
      else if (word === "part") findings.parts.set(path, Number(first));
      else if (word === "file") findings.kept.add(rest);
      else if (word === "ready") findings.ready.push(rest);
    }
  }

  /** Hands over bytes of a file from `at` on, a multiple of {@linkcode BLOCK}. Resolves when they are there. */
  async take(
    path: string,
    { at, size, chunks }: { at: number; size: number; chunks: AsyncIterable<Uint8Array> },
  ): Promise<void> {
    await this.#say(`take ${quoteWord(path)} ${at / BLOCK} ${size}`);
    // A shell that has given up takes no more: its answer must be heard all the same.
    const sent = (async () => {
      for await (const chunk of chunks) await this.#stdin.write(chunk);
    })();
    sent.catch(() => {});
    await this.#until("took");
    await sent;
  }

  /** What was taken becomes `place/directory/holdfast`, when `digest` is its sha256; otherwise it is removed. */
  async keep(
    { place, part, digest, directory }: {
      place: string;
      part: string;
      digest: string;
      directory: string;
    },
  ): Promise<void> {
    await this.#say(`keep ${quoteWord(place)} ${quoteWord(part)} ${digest} ${directory}`);
    await this.#until("kept");
  }

  /**
   * Makes programs of what is kept there, whose archive begins at `offset`, counted from 1. Resolves with the hash of
   * the core that is built in.
   */
  async unpack(
    { place, directory, offset }: { place: string; directory: string; offset: number },
  ): Promise<string | null> {
    await this.#say(`unpack ${quoteWord(place)} ${directory} ${offset}`);
    return coreHashIn(await this.#until("core"));
  }

  /** The hash of the core that is built into what lies in a directory; null when none is. */
  async core(directory: string): Promise<string | null> {
    await this.#say(`core ${quoteWord(directory)}`);
    return coreHashIn(await this.#until("core"));
  }

  /** Has the shell become another program, whose the child's streams are from then on. */
  async become(line: string): Promise<void> {
    await this.#say(line);
  }

  async #say(line: string): Promise<void> {
    await this.#stdin.write(new TextEncoder().encode(`${line}\n`));
  }

  async #until(wanted: string): Promise<string> {
    for (;;) {
      const [word, rest] = await this.#answer();
      if (word === wanted) return rest;
      if (word === "failed") throw new HoldfastError("io", printable(rest));
    }
  }

  /** The next of its lines that is an answer, as its first word and the rest. */
  async #answer(): Promise<[string, string]> {
    for (;;) {
      const line = await this.#line();
      const [, word, rest = ""] = /^hf:(\w+)(?: (.*))?$/.exec(line) ?? [];
      if (word !== undefined) return [word, rest];
    }
  }

  async #line(): Promise<string> {
    let end = this.#text.indexOf("\n");
    while (end < 0) {
      const bytes = await within(PATIENCE, this.#stdout.read());
      if (!bytes) throw new HoldfastError("disconnected", "its shell ended before it had answered");
      if ((this.#noise += bytes.length) > LIMITS.noise) {
        throw new HoldfastError("limit", "its shell prints without end");
      }
      this.#text = (this.#text + this.#decoder.decode(bytes, { stream: true })).slice(-16 * LINE);
      end = this.#text.indexOf("\n");
    }
    const line = this.#text.slice(0, Math.min(end, LINE));
    this.#text = this.#text.slice(end + 1);
    return line;
  }
}

async function within<T>(milliseconds: number, promise: Promise<T>): Promise<T> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<never>((_, reject) => {
    const text = `its shell has not answered for ${milliseconds / 1000} s`;
    timer = setTimeout(() => reject(new HoldfastError("timeout", text)), milliseconds);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

function coreHashIn(text: string): string | null {
  return /"coreHash":"([0-9a-f]{64})"/.exec(text)?.[1] ?? null;
}
