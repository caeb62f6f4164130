/**
 * Writes the stream of a `tree_sender.ts` below a destination, as `cp -a` places it. The sender is not
 * trusted: whatever it sends, nothing outside the destination and the names asked for is written.
 */
import { type HoldfastError, toHoldfastError } from "../core/errors.ts";
import type { ByteSource, FileInfo, Host } from "../core/host.ts";
import { QuickFiles, runtimeFiles } from "./quick_files.ts";
import { removeTree } from "./remove_tree.ts";
import { SyncBatch } from "./sync_batch.ts";
import { TaskPool } from "./task_pool.ts";
import { inPlace, temporaryBeside } from "./temporary.ts";
import { type Blocks, verified, writeBlocks } from "./tree_file.ts";
import {
  checkEntry,
  END_OF_TREE,
  malformed,
  PACK,
  type TreeEntry,
  type TreeEvents,
  TreeReader,
  type TreeRecord,
  type TreeTotals,
  unpack,
} from "./tree_format.ts";
import {
  notRegular,
  orNull,
  somethingElse,
  TreePlaces,
  type TreePlacesOptions,
} from "./tree_places.ts";

export interface ReceiveTreeOptions extends TreeEvents, TreePlacesOptions {
  host: Host;
}

/** What `receiveTree` reads from; `cancel` is told why. */
export type TreeSource = Pick<ByteSource, "read"> & { cancel(reason?: HoldfastError): void };

/**
 * Receives a tree; resolves when all of it is in its place. On a failure it cancels `source`, removes what
 * is unfinished and rejects with the first reason; files that were replaced before that stay replaced.
 *
 * - Verified: a file whose digest differs is not put in its place (`corrupt`).
 * - Atomic: a file is written beside its target, made durable and renamed over it. A directory that was asked
 *   for and does not exist is made beside its place and renamed when everything in it is there.
 * - Bounded: what waits to be written stays within `task_pool.ts`, and two pieces of a large file.
 */
export async function receiveTree(
  source: TreeSource,
  options: ReceiveTreeOptions,
): Promise<TreeTotals> {
  return await new Receiver(source, options).run();
}

/** A directory whose content is arriving. Its mode and time are set when that is complete. */
interface Folder {
  /** Where it is now. */
  path: string;
  entry: TreeEntry;
  parent: Folder | null;
  ready: Promise<void>;
  /** Made by this transfer: nothing else can be in it. */
  fresh: boolean;
  /** Part of a tree that is not in its place yet. */
  hidden: boolean;
  /** Entries below it that are unfinished, and one for those that may follow. */
  open: number;
}

/** Where an entry belongs. */
interface Place {
  path: string;
  parent: Folder | null;
  /** What is there already; looked for at the top only. */
  existing: FileInfo | null;
}

class Receiver {
  readonly #source: TreeSource;
  readonly #options: ReceiveTreeOptions;
  readonly #host: Host;
  readonly #quick: QuickFiles;
  readonly #batch: SyncBatch;
  readonly #places: TreePlaces;
  readonly #reader: TreeReader;
  readonly #totals: TreeTotals = { files: 0, directories: 0, links: 0, bytes: 0, skipped: 0 };
  readonly #tasks: TaskPool = new TaskPool((error) => this.#fail(error));
  readonly #stack: Folder[] = [];
  /** Trees that are not in their place yet: from where they are to where they belong. */
  readonly #hidden: Map<string, string> = new Map();
  #failure: HoldfastError | null = null;

  constructor(source: TreeSource, options: ReceiveTreeOptions) {
    this.#source = source;
    this.#options = options;
    this.#host = options.host;
    this.#quick = new QuickFiles(runtimeFiles(options.host));
    this.#batch = new SyncBatch(options.host);
    this.#places = new TreePlaces(options.host, options);
    this.#reader = new TreeReader(source);
  }

  async run(): Promise<TreeTotals> {
    try {
      await this.#places.prepare();
      for (let record = await this.#next(); record.type !== END_OF_TREE;) {
        if (record.type !== PACK) throw malformed();
        for (const { entry, content } of await unpack(record.payload)) {
          if (this.#failure) throw this.#failure;
          await this.#receive(checkEntry(entry, this.#stack.length), content);
        }
        record = await this.#next();
      }
      this.#leave(0);
    } catch (error) {
      this.#fail(error);
    }
    await this.#tasks.settled();
    this.#batch.close();
    for (const temporary of this.#hidden.keys()) {
      await removeTree(this.#host, temporary).catch(() => {});
    }
    if (this.#failure) throw this.#failure;
    return this.#totals;
  }

  async #next(): Promise<TreeRecord> {
    const record = await this.#reader.next();
    if (this.#failure) throw this.#failure;
    return record;
  }

  #fail(error: unknown): void {
    if (this.#failure) return;
    this.#failure = toHoldfastError(error);
    for (const [temporary, path] of this.#hidden) {
      this.#failure = inPlace(this.#failure, { temporary, path });
    }
    this.#source.cancel(this.#failure);
  }

  // Entries

  async #place(entry: TreeEntry): Promise<Place> {
    if (entry.depth === 0) return { ...await this.#places.place(entry), parent: null };
    const parent = this.#stack[entry.depth - 1];
    parent.open++;
    const above = parent.path.endsWith("/") ? parent.path : `${parent.path}/`;
    return { path: above + entry.name, parent, existing: null };
  }

  async #receive(entry: TreeEntry, content: Uint8Array | null): Promise<void> {
    this.#leave(entry.depth);
    const place = await this.#place(entry);
    if (entry.type === "directory") {
      this.#totals.directories++;
      await this.#receiveDirectory(entry, place);
    } else if (entry.type === "symlink") {
      this.#totals.links++;
      await this.#tasks.start(0, () => this.#makeLink(entry, place));
    } else if (entry.type === "file") {
      await this.#receiveFile(entry, { ...place, content });
    } else {
      this.#totals.skipped++;
      this.#options.onSkip?.(this.#shown(place.path));
      this.#release(place.parent);
    }
  }

  /** Directories at and below `depth` are complete. */
  #leave(depth: number): void {
    while (this.#stack.length > depth) this.#release(this.#stack.pop()!);
  }

  /** An entry of `folder` is finished. After the last one the directory is. */
  #release(folder: Folder | null): void {
    if (!folder || --folder.open > 0) return;
    this.#tasks.spawn(0, async () => {
      const { path, entry, parent, ready } = folder;
      await ready;
      await this.#setAttributes(path, entry);
      const destination = this.#hidden.get(path);
      if (destination !== undefined) {
        await this.#batch.sync(path);
        await this.#host.rename(path, destination);
        this.#hidden.delete(path);
      }
      this.#release(parent);
    });
  }

  async #receiveDirectory(entry: TreeEntry, { path, parent, existing }: Place): Promise<void> {
    const folder: Folder = {
      path,
      entry,
      parent,
      ready: Promise.resolve(),
      fresh: false,
      hidden: parent?.hidden ?? false,
      open: 1,
    };
    this.#stack.push(folder);
    if (existing) return;
    if (!parent) {
      folder.path = temporaryBeside(path);
      folder.hidden = true;
      this.#hidden.set(folder.path, path);
    }
    await this.#tasks.start(0, () => folder.ready = this.#makeDirectory(folder));
  }

  async #makeDirectory(folder: Folder): Promise<void> {
    const { path, parent } = folder;
    await parent?.ready;
    try {
      await this.#host.mkdir(path, 0o700);
      folder.fresh = true;
    } catch (error) {
      const found = await orNull(this.#host.lstat(path));
      if (!found) throw error;
      if (found.type !== "directory") throw somethingElse(path);
    }
  }

  async #makeLink(entry: TreeEntry, place: Place): Promise<void> {
    await this.#putInPlace(place, (path) => this.#host.symlink(entry.target!, path));
    this.#release(place.parent);
  }

  /** A small file is written beside others, any other while it arrives. */
  async #receiveFile(
    entry: TreeEntry,
    { content, ...place }: Place & { content: Uint8Array | null },
  ): Promise<void> {
    const options = {
      host: this.#host,
      quick: this.#quick,
      mode: entry.mode ?? place.existing?.mode ?? null,
      mtime: entry.mtime,
    };
    const shown = this.#shown(place.path);
    let done = 0;
    const count = (block: Uint8Array) => {
      this.#totals.bytes += block.length;
      done += block.length;
      const size = entry.size ?? null;
      this.#options.onProgress?.({ path: shown, done, size, totals: this.#totals });
    };
    const save = async (write: (path: string) => Promise<void>) => {
      await this.#putInPlace(place, write);
      this.#totals.files++;
      this.#release(place.parent);
    };
    if (content) {
      count(content);
      const rest = [content];
      const blocks: Blocks = async () => rest.pop() ?? null;
      const write = async (path: string) => {
        const file = this.#quick.write(path, content, options);
        if (!file) return await writeBlocks(path, { ...options, blocks });
        if (place.parent?.hidden) {
          return await this.#batch.add(file, { bytes: content.length, path });
        }
        await file.sync().finally(() => file.close());
      };
      await this.#tasks.start(content.length, () => save(write));
    } else {
      const blocks = verified(shown, () => this.#next(), count);
      await this.#tasks.spawn(0, () => save((path) => writeBlocks(path, { ...options, blocks })));
    }
  }

  /**
   * Lets `make` make something that is then in its place: in a hidden tree at once, elsewhere under a temporary
   * name that is renamed, and removed when that fails.
   */
  async #putInPlace(
    { path, parent }: Place,
    make: (path: string) => Promise<void>,
  ): Promise<void> {
    await parent?.ready;
    if (this.#failure) throw this.#failure;
    if (parent?.hidden) return await make(path);
    if (parent && !parent.fresh) {
      // What is neither file nor link must not be renamed over.
      const found = await orNull(this.#host.lstat(path));
      if (found?.type === "other") throw notRegular(path);
    }
    const temporary = temporaryBeside(path);
    try {
      await make(temporary);
      await this.#host.rename(temporary, path);
    } catch (error) {
      await this.#host.remove(temporary).catch(() => {});
      throw inPlace(error, { temporary, path });
    }
  }

  async #setAttributes(path: string, { mode, mtime }: TreeEntry): Promise<void> {
    if (mode !== null) await this.#host.chmod(path, mode);
    if (mtime !== null) await this.#host.setTime(path, mtime);
  }

  /** A path as the user knows it. */
  #shown(path: string): string {
    for (const [temporary, place] of this.#hidden) {
      if (path.startsWith(temporary)) return place + path.slice(temporary.length);
    }
    return path;
  }
}
