/**
 * The built files that this daemon can give to targets: the one that it runs from and those beside it, or in a source
 * tree what `deno task build` made. For `provisioning.ts`.
 */
import { HoldfastError } from "../core/errors.ts";
import { printable } from "../core/printable.ts";
import { denoHost } from "../files/host_deno.ts";
import { isTarget, type Payload, readPayload } from "../parent/payload.ts";
import { VERSION } from "../rendezvous/version.ts";

/** Where `deno task build` writes. */
const DIST = decodeURIComponent(new URL("../../dist", import.meta.url).pathname);

export class BuiltFiles {
  readonly #directory: string;
  readonly #own: string;
  readonly #launched: boolean;
  /** By path, with what the file was like when it was read. */
  readonly #read: Map<string, { state: string; payload: Promise<Payload | null> }> = new Map();

  /** `launched`: the absolute path of the built file that was started; undefined in a source tree. */
  constructor(launched?: string) {
    this.#own = launched === undefined ? `${DIST}/holdfast` : realPath(launched);
    this.#directory = this.#own.slice(0, this.#own.lastIndexOf("/"));
    this.#launched = launched !== undefined;
  }

  /** The one for a target such as `linux-x64`. Rejects with what to do when there is none. */
  async find(target: string): Promise<Payload> {
    if (!isTarget(target)) {
      throw new HoldfastError(
        "bootstrap",
        `Cannot provision: nothing is built for "${printable(target)}"`,
      );
    }
    let old: Payload | null = null;
    for (const path of [this.#own, `${this.#directory}/holdfast-${target}`]) {
      const payload = await this.#payload(path);
      if (payload?.target !== target) continue;
      if (payload.version === VERSION) return payload;
      old = payload;
    }
    const how = this.#launched
      ? `put holdfast-${target} of version ${VERSION} beside ${this.#own}`
      : `run "deno task build --target ${target}"`;
    const why = old
      ? `${old.path} is of version ${old.version}`
      : `there is no built file for ${target}`;
    throw new HoldfastError("bootstrap", `Cannot provision: ${why}; ${how}`);
  }

  #payload(path: string): Promise<Payload | null> {
    const state = stateOf(path);
    if (state === null) return Promise.resolve(null);
    let read = this.#read.get(path);
    if (read?.state !== state) {
      read = { state, payload: readPayload(denoHost, path) };
      this.#read.set(path, read);
    }
    return read.payload;
  }
}

function stateOf(path: string): string | null {
  try {
    const { ino, size, mtime } = Deno.statSync(path);
    return `${ino} ${size} ${mtime?.getTime()}`;
  } catch {
    return null;
  }
}

function realPath(path: string): string {
  try {
    return Deno.realPathSync(path);
  } catch {
    return path;
  }
}
