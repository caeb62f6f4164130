/**
 * Files and trees between this machine and a context, for `put`, `fetch` and the relay. One stream carries
 * everything, right behind the call: a small file takes one round trip.
 */
import { HoldfastError, toHoldfastError } from "../core/errors.ts";
import type { ByteSink, ByteSource, Host } from "../core/host.ts";
import { denoHost } from "../files/host_deno.ts";
import type { Json } from "../core/json.ts";
import type { Router } from "../core/router.ts";
import { ReceiveStream, SendStream } from "../core/stream.ts";
import { verified } from "../files/tree_file.ts";
import {
  checkEntry,
  END_OF_TREE,
  malformed,
  PACK,
  type TreeEntry,
  type TreeEvents,
  TreeReader,
  type TreeTotals,
  unpack,
} from "../files/tree_format.ts";
import { receiveTree, type TreeSource } from "../files/tree_receiver.ts";
import { type Readable, sendTree } from "../files/tree_sender.ts";

export interface TransferOptions extends TreeEvents {
  /** Where the local files are. Default: this machine, with relative paths relative to the working directory. */
  host?: Host;
  signal?: AbortSignal;
}

export interface PutOptions extends TransferOptions {
  /** Local paths, or content that has no name. */
  sources: readonly (string | ByteSource)[];
  /** A remote path; relative ones are relative to the home, empty is the home. */
  destination: string;
}

export interface FetchOptions extends TransferOptions {
  /** Remote paths; relative ones are relative to the home. */
  sources: readonly string[];
  /** A local path, or where the content of one file goes. */
  destination: string | ByteSink;
}

/**
 * Copies to a context as `cp -a` would. Rejects with what failed first, on either side.
 *
 * @throws {HoldfastError} naming the path; what was complete by then stays
 */
export async function putFiles(
  router: Router,
  contextId: number,
  options: PutOptions,
): Promise<TreeTotals> {
  const { host = denoHost, sources, destination, signal, ...events } = options;
  const names = sources.map((source) => typeof source === "string" ? baseName(source) : null);
  const contents = sources.map((source) =>
    typeof source === "string" ? local(source, host) : new SourceReader(source)
  );
  const stream = SendStream.open(router, contextId);
  const peer = new PeerErrors();
  const sink: ByteSink = {
    write: (bytes) => peer.watch(stream.write(bytes)),
    close: () => stream.close(),
  };
  const call = callFile(router, contextId, {
    method: "receive",
    args: { stream: stream.id, destination, names },
    signal,
  });
  const { far } = await both({
    near: sendTree(sink, { host, sources: contents, ...events }),
    far: call,
    peer,
    stop(reason) {
      stream.abort(reason);
      for (const source of sources) if (typeof source !== "string") source.cancel();
    },
  });
  return far as unknown as TreeTotals;
}

/**
 * Copies from a context as `cp -a` would. Rejects with what failed first, on either side.
 *
 * @throws {HoldfastError} naming the path; what was complete by then stays
 */
export async function fetchFiles(
  router: Router,
  contextId: number,
  options: FetchOptions,
): Promise<TreeTotals> {
  const { host = denoHost, sources, destination, signal, ...events } = options;
  const path = typeof destination === "string" ? local(destination, host) : null;
  const stream = ReceiveStream.open(router, contextId);
  const peer = new PeerErrors();
  const source: TreeSource = {
    read: () => peer.watch(stream.read()),
    cancel: (reason) => stream.cancel(reason),
  };
  const call = callFile(router, contextId, {
    method: "send",
    args: { stream: stream.id, sources: [...sources] },
    signal,
  });
  const { near } = await both({
    near: path !== null
      ? receiveTree(source, { host, destination: path, names: sources.map(baseName), ...events })
      : receiveContent(source, { sink: destination as ByteSink, ...events }),
    far: call,
    peer,
    stop: (reason) => stream.cancel(reason),
  });
  return near;
}

/** What a path is called inside a directory that it is copied into; empty for `.`, `..` and `/`. */
export function baseName(path: string): string {
  const name = path.replace(/\/+$/, "").replace(/^.*\//s, "");
  return name === "." || name === ".." ? "" : name;
}

/** Relative paths of this machine are relative to the working directory; the host would take the home. */
function local(path: string, host: Host): string {
  if (path === "") throw new HoldfastError("usage", "Cannot copy: a path is empty");
  return host !== denoHost || path.startsWith("/") ? path : `${Deno.cwd()}/${path}`;
}

interface FileCall {
  method: "send" | "receive";
  args: { [key: string]: Json };
  signal?: AbortSignal;
}

function callFile(router: Router, contextId: number, call: FileCall): Promise<Json> {
  const { signal, ...request } = call;
  return router.call(contextId, { service: "file", ...request }, { signal });
}

/** Tells what the other side said through the stream from what went wrong here. */
class PeerErrors {
  readonly #seen: WeakSet<object> = new WeakSet();

  async watch<T>(operation: Promise<T>): Promise<T> {
    try {
      return await operation;
    } catch (error) {
      this.#seen.add(error as object);
      throw error;
    }
  }

  has(error: unknown): boolean {
    return this.#seen.has(error as object);
  }
}

interface Halves {
  near: Promise<TreeTotals>;
  far: Promise<Json>;
  peer: PeerErrors;
  /** Ends the stream, so that the half that still works ends too. */
  stop(reason: HoldfastError): void;
}

/** Waits for both halves of a transfer, which clean up after themselves, and throws the root of a failure. */
async function both({ near, far, peer, stop }: Halves): Promise<{ near: TreeTotals; far: Json }> {
  let root: unknown = null;
  const fail = (error: unknown): void => {
    root ??= error;
    stop(toHoldfastError(error, "io"));
  };
  // What came through the stream is an echo: the reply of the call tells it better, or tells more.
  near.catch((error) => peer.has(error) ? null : fail(error));
  far.catch(fail);
  const [nearEnd, farEnd] = await Promise.allSettled([near, far]);
  if (root) throw root;
  if (nearEnd.status === "rejected") throw nearEnd.reason;
  if (farEnd.status === "rejected") throw farEnd.reason;
  return { near: nearEnd.value, far: farEnd.value };
}

/** Receives exactly one file, into `sink` as it comes; its digest is checked at the end. */
async function receiveContent(
  source: TreeSource,
  { sink, onProgress }: { sink: ByteSink } & TreeEvents,
): Promise<TreeTotals> {
  const totals: TreeTotals = { files: 0, directories: 0, links: 0, bytes: 0, skipped: 0 };
  const reader = new TreeReader(source);
  let entry: TreeEntry | null = null;
  const pass = async (block: Uint8Array) => {
    if (block.length > 0) await sink.write(block);
    totals.bytes += block.length;
    const size = entry!.size ?? 0;
    onProgress?.({ path: "-", done: totals.bytes, size, totals });
  };
  for (
    let record = await reader.next();
    record.type !== END_OF_TREE;
    record = await reader.next()
  ) {
    if (record.type !== PACK) throw malformed();
    for (const packed of await unpack(record.payload)) {
      if (entry || packed.entry?.type !== "file") {
        throw new HoldfastError("usage", `Cannot write to standard output: it is not one file`);
      }
      entry = checkEntry(packed.entry, 0);
      if (packed.content) await pass(packed.content);
      else {
        const blocks = verified("-", () => reader.next());
        for (let block = await blocks(); block; block = await blocks()) await pass(block);
      }
      totals.files++;
    }
  }
  return totals;
}

/** A byte source that is read like a file. */
class SourceReader implements Readable {
  readonly #source: ByteSource;
  #rest: Uint8Array = new Uint8Array(0);

  constructor(source: ByteSource) {
    this.#source = source;
  }

  async read(buffer: Uint8Array): Promise<number | null> {
    if (this.#rest.length === 0) {
      const chunk = await this.#source.read();
      if (chunk === null) return null;
      this.#rest = chunk;
    }
    const part = this.#rest.subarray(0, buffer.length);
    buffer.set(part);
    this.#rest = this.#rest.subarray(part.length);
    return part.length;
  }
}
