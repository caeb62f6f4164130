/** A client and a file service on real files, in either direction; for the tests of `put` and `fetch`. */

import { fetchFiles, putFiles, type TransferOptions } from "../../lib/client/transfer.ts";
import { FileService } from "../../lib/files/file_service.ts";
import type { Host, Transport } from "../../lib/core/host.ts";
import { denoHost } from "../../lib/files/host_deno.ts";
import type { TreeTotals } from "../../lib/files/tree_format.ts";
import { type ContextPair, contextPair } from "./context_pair.ts";
import { type TempDir, tempDir } from "./temp.ts";
import { test } from "./test.ts";

export interface Bench extends AsyncDisposable {
  dir: TempDir;
  pair: ContextPair;
  service: FileService;
  copy(
    sources: string[],
    destination: string,
    options?: TransferOptions,
  ): Promise<TreeTotals>;
}

export type Direction = "put" | "fetch";

export interface BenchOptions {
  /** The host of the side that receives. */
  receiver?: Host;
  wrap?(transport: Transport): Transport;
}

export async function bench(direction: Direction, options: BenchOptions = {}): Promise<Bench> {
  const dir = await tempDir();
  const { receiver = denoHost, wrap } = options;
  const service = new FileService(direction === "put" ? receiver : denoHost);
  const pair = contextPair({ services: { file: service.service }, wrap });
  return {
    dir,
    pair,
    service,
    copy: (sources, destination, rest) =>
      direction === "put"
        ? putFiles(pair.parent, 1, { sources, destination, ...rest })
        : fetchFiles(pair.parent, 1, { sources, destination, host: receiver, ...rest }),
    async [Symbol.asyncDispose]() {
      await pair[Symbol.asyncDispose]();
      await service.close();
      await dir[Symbol.asyncDispose]();
    },
  };
}

/** The same criterion for `put` and for `fetch`. */
export function both(
  name: string,
  body: (bench: Bench, direction: Direction) => Promise<void>,
  options?: BenchOptions,
): void {
  for (const direction of ["put", "fetch"] as const) {
    test(`${direction}: ${name}`, async () => {
      await using made = await bench(direction, options);
      await body(made, direction);
    });
  }
}

/** Type, mode, time and content or target of everything at and below `root`, by its path. */
export async function snapshot(root: string): Promise<Record<string, string>> {
  const found: Record<string, string> = {};
  const visit = async (path: string, name: string): Promise<void> => {
    const info = await Deno.lstat(path);
    const mode = (info.mode! & 0o7777).toString(8);
    if (info.isSymlink) found[name] = `link ${await Deno.readLink(path)}`;
    else if (info.isDirectory) {
      found[name] = `directory ${mode} ${info.mtime!.getTime()}`;
      for await (const entry of Deno.readDir(path)) {
        await visit(`${path}/${entry.name}`, `${name}/${entry.name}`);
      }
    } else {
      const content = await Deno.readFile(path);
      const hash = new Uint8Array(await crypto.subtle.digest("SHA-256", content));
      found[name] = `file ${mode} ${info.mtime!.getTime()} ${content.length} ${hash}`;
    }
  };
  await visit(root, "");
  return found;
}

export function noise(size: number): Uint8Array {
  const bytes = new Uint8Array(size);
  for (let at = 0; at < size; at++) bytes[at] = (at * 2654435761) >>> 13;
  return bytes;
}

export async function write(
  path: string,
  content: string | Uint8Array,
  mode = 0o644,
): Promise<void> {
  const bytes = typeof content === "string" ? new TextEncoder().encode(content) : content;
  await Deno.writeFile(path, bytes);
  await Deno.chmod(path, mode);
}

/** What is in a directory, sorted. */
export function names(path: string): string[] {
  return [...Deno.readDirSync(path)].map(({ name }) => name).sort();
}

/** Flips a bit of one byte of the `nth` large write. */
export function damage(transport: Transport, nth: number): Transport {
  let seen = 0;
  const flip = (bytes: Uint8Array): Uint8Array => {
    if (bytes.length < 60_000 || ++seen !== nth) return bytes;
    const copy = bytes.slice();
    copy[copy.length >> 1] ^= 1;
    return copy;
  };
  return {
    async read() {
      const bytes = await transport.read();
      return bytes && flip(bytes);
    },
    write: (bytes) => transport.write(flip(bytes)),
    close: () => transport.close(),
  };
}
