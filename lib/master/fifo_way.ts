/**
 * A byte stream of this process as a ProxyCommand: two pipes with names, and a `cat` at each end of them. For OpenSSH's
 * client behind another hop; used by `openssh_endpoint.ts`.
 */

import { HoldfastError } from "../core/errors.ts";
import type { Duplex } from "node:stream";
import { StreamSink, StreamSource } from "./ssh_streams.ts";
import { quoteWord } from "../core/quote.ts";

const READ_SIZE = 64 * 1024;

/**
 * - The pipes are removed as soon as both ends hold them, or at `dispose`.
 * - The end of either side ends the other.
 */
export class FifoWay implements AsyncDisposable {
  /** For ssh, tokens included. */
  readonly command: string;
  readonly #paths: readonly [fromSsh: string, toSsh: string];
  readonly #stream: Duplex;
  readonly #work: Promise<unknown>;
  #opened = false;
  #disposed = false;

  private constructor(stream: Duplex, paths: readonly [string, string]) {
    this.#stream = stream;
    this.#paths = paths;
    const [fromSsh, toSsh] = paths.map(quoteWord);
    this.command = `cat <${toSsh} & exec cat >${fromSsh}`.replaceAll("%", "%%");
    this.#work = this.#carry().catch(() => {});
  }

  /** Makes the pipes as `path` with a letter added, which nobody else can open. `stream` becomes its own. */
  static async open(path: string, stream: Duplex): Promise<FifoWay> {
    const paths = [`${path}o`, `${path}i`] as const;
    const { success } = await new Deno.Command("mkfifo", {
      args: ["-m", "600", ...paths],
      stdin: "null",
      stdout: "null",
      stderr: "null",
    }).output();
    if (success) return new FifoWay(stream, paths);
    stream.destroy();
    throw new HoldfastError("io", `Cannot make pipes "${path}": mkfifo failed`);
  }

  /** Idempotent. Ssh must be about to end. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#disposed = true;
    this.#stream.destroy();
    // What still waits for ssh's side gets this one, and then ends.
    const ends = this.#opened ? [] : this.#paths.map(openBoth);
    await this.#work;
    for (const end of ends) end?.close();
  }

  /** Opening waits until ssh's side is there. */
  async #carry(): Promise<void> {
    const [fromSsh, toSsh] = this.#paths;
    let output: Deno.FsFile | null = null;
    let input: Deno.FsFile | null = null;
    try {
      output = await Deno.open(toSsh, { write: true });
      input = await Deno.open(fromSsh, { read: true });
      this.#opened = true;
      this.#remove();
      if (this.#disposed) return;
      const up = upload(input, new StreamSink(this.#stream)).catch(() => {});
      const down = download(new StreamSource(this.#stream), output).catch(() => {});
      // Once nothing comes from ssh, nothing that is sent would be of use.
      void up.then(() => this.#stream.destroy());
      await down;
    } finally {
      input?.close();
      output?.close();
      this.#stream.destroy();
      this.#remove();
    }
  }

  #remove(): void {
    for (const path of this.#paths) {
      try {
        Deno.removeSync(path);
      } catch {
        // It was removed before.
      }
    }
  }
}

/** Waits for nobody; null when the pipe was removed. */
function openBoth(path: string): Deno.FsFile | null {
  try {
    return Deno.openSync(path, { read: true, write: true });
  } catch {
    return null;
  }
}

async function upload(input: Deno.FsFile, sink: StreamSink): Promise<void> {
  const buffer = new Uint8Array(READ_SIZE);
  for (let size = await input.read(buffer); size !== null; size = await input.read(buffer)) {
    await sink.write(buffer.slice(0, size));
  }
}

async function download(source: StreamSource, output: Deno.FsFile): Promise<void> {
  for (let bytes = await source.read(); bytes !== null; bytes = await source.read()) {
    for (let at = 0; at < bytes.length;) at += await output.write(bytes.subarray(at));
  }
}
