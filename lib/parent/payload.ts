/** A built file that can be given to targets: what it is, and its bytes. Read with a shell, on every runtime alike. */
import { concat } from "../core/greeting.ts";
import { HoldfastError } from "../core/errors.ts";
import type { ProcessHost } from "../core/host.ts";
import { quoteWord } from "../core/quote.ts";

export interface Payload {
  /** For people: where it lies. */
  path: string;
  /** The target that it is built for: `linux-x64`. */
  target: string;
  version: string;
  /** Bytes. */
  size: number;
  /** sha256 of all of it, hex. */
  digest: string;
  /** Names the directory of what it unpacks to. */
  directory: string;
  /** Where the archive begins in it, counted from 1. */
  offset: number;
  /** Bytes of what it unpacks to. */
  unpacked: number;
}

/** Of a built file, enough to hold the text that it begins with. */
const HEAD = 16 * 1024;

/** What `uname -s` and `uname -m` say, by the target that a file must be built for. */
const SYSTEMS: Readonly<Record<string, RegExp>> = {
  "linux-x64": /^Linux (x86_64|amd64)$/,
  "linux-arm64": /^Linux (aarch64|arm64)$/,
  "macos-x64": /^Darwin x86_64$/,
  "macos-arm64": /^Darwin arm64$/,
};

/** Null for a system that no file is built for. */
export function targetOf(system: string): string | null {
  return Object.keys(SYSTEMS).find((name) => SYSTEMS[name].test(system)) ?? null;
}

/** Whether files can be built for it, whoever asks. */
export function isTarget(name: string): boolean {
  return Object.hasOwn(SYSTEMS, name);
}

/** Reads what a file says of itself, and its digest; null when it is no built file or is not there. */
export async function readPayload(host: ProcessHost, path: string): Promise<Payload | null> {
  const file = quoteWord(path);
  const sum = `{ sha256sum<${file}||shasum -a 256<${file}||openssl dgst -sha256 -r<${file};}`;
  const script = `[ -f ${file} ]&&${sum} 2>/dev/null&&wc -c<${file}&&` +
    `head -c ${HEAD} ${file}&&tail -c 4 ${file}`;
  const bytes = await outputOf(host, ["sh", "-c", script]);
  const text = new TextDecoder().decode(bytes.subarray(0, HEAD + 200));
  const find = (pattern: RegExp) => pattern.exec(text)?.[1];
  const digest = find(/^([0-9a-f]{64})\b/);
  const size = find(/^.*\n\s*(\d+)\n/);
  const [, version, target] = /^# holdfast (\S+) for ([\w-]+),/m.exec(text) ?? [];
  const directory = find(/^hash=([0-9a-f]{64})$/m);
  const offset = find(/tail -c \+(\d+) /);
  if (!digest || !size || !version || !directory || !offset) return null;
  const last = bytes.slice(-4);
  return {
    path,
    target,
    version,
    size: Number(size),
    digest,
    directory,
    offset: Number(offset),
    unpacked: new DataView(last.buffer).getUint32(0, true), // as gzip writes it
  };
}

/** The bytes of a payload from `at` on, in pieces of the sizes that are asked for. */
export class PayloadReader {
  readonly #starting: ReturnType<ProcessHost["spawn"]>;
  #rest: Uint8Array = new Uint8Array(0);

  constructor(host: ProcessHost, { path, at }: { path: string; at: number }) {
    this.#starting = host.spawn({ command: ["tail", "-c", `+${at + 1}`, path], cwd: "/" });
    this.#starting.then(({ stdin }) => stdin.close()).catch(() => {});
  }

  /** The next `size` bytes. Throws `io` when there are fewer. */
  async *take(size: number): AsyncGenerator<Uint8Array> {
    const { stdout } = await this.#starting;
    for (let left = size; left > 0;) {
      if (this.#rest.length === 0) {
        const bytes = await stdout.read();
        if (!bytes) throw new HoldfastError("io", "the built file has become shorter");
        this.#rest = bytes;
      }
      const piece = this.#rest.slice(0, left);
      this.#rest = this.#rest.subarray(piece.length);
      left -= piece.length;
      yield piece;
    }
  }

  async close(): Promise<void> {
    const child = await this.#starting.catch(() => null);
    child?.stdout.cancel();
    child?.stderr.cancel();
    child?.kill("SIGKILL");
  }
}

/** What a program prints. */
export async function outputOf(host: ProcessHost, command: string[]): Promise<Uint8Array> {
  const { stdin, stdout, stderr } = await host.spawn({ command, cwd: "/" });
  stdin.close().catch(() => {});
  stderr.cancel();
  let all: Uint8Array = new Uint8Array(0);
  for (let bytes = await stdout.read(); bytes; bytes = await stdout.read()) {
    all = concat(all, bytes);
  }
  return all;
}
