/**
 * Writes the stream of a `tree_sender.ts` below a destination, as `cp -a` places it. The sender is not
 * trusted: whatever it sends, nothing outside the destination and the names asked for is written.
 */
import { ContentDigest } from "./content_digest.ts";
import { HoldfastError, toHoldfastError } from "./errors.ts";
import type { ByteSource, FileInfo, Host } from "./host.ts";
import {
  BLOCK,
  DATA,
  decodeEntry,
  END_OF_FILE,
  END_OF_TREE,
  ENTRY,
  type TreeEntry,
  type TreeEvents,
  TreeReader,
  type TreeRecord,
  type TreeTotals,
} from "./tree_format.ts";

/** Entries that are written at once, and the bytes they may hold in memory. */
const TASKS = 32;
const HELD = 8 * 1024 * 1024;

export interface ReceiveTreeOptions extends TreeEvents {
  host: Host;
  /** With a slash at its end it has to be a directory; empty: the home. */
  destination: string;
  /**
   * The name of each source inside `destination` when that is a directory: one component; empty for the
   * directory itself; null for content without a name, whose destination may not be a directory.
   */
  names: readonly (string | null)[];
}

/** What `receiveTree` reads from; `cancel` is told why. */
export type TreeSource = Pick<ByteSource, "read"> & { cancel(reason?: HoldfastError): void };

/**
 * Receives a tree; resolves when all of it is in its place. On a failure it cancels `source`, removes what
 * is unfinished and rejects with the first reason; files that were replaced before that stay replaced.
 *
 * - Verified: a file whose digest differs is not put in its place (`corrupt`).
 * - Atomic: a file is written beside its target, made durable and renamed over it.
 * - Bounded: at most {@linkcode TASKS} small files and two blocks of a large one are held in memory.
 */
export async function receiveTree(
  source: TreeSource,
  options: ReceiveTreeOptions,
): Promise<TreeTotals> {
  return await new Receiver(source, options).run();
}

/** A directory whose content is arriving. Its mode and time are set when that is complete. */
interface Folder {
  path: string;
  entry: TreeEntry;
  parent: Folder | null;
  ready: Promise<void>;
  /** Made by this transfer: nothing else can be in it. */
  fresh: boolean;
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
  readonly #destination: string;
  readonly #reader: TreeReader;
  readonly #totals: TreeTotals = { files: 0, directories: 0, links: 0, bytes: 0, skipped: 0 };
  readonly #seen: Set<string> = new Set();
  readonly #tasks: Set<Promise<void>> = new Set();
  readonly #stack: Folder[] = [];
  #held = 0;
  #inside = false;
  #failure: HoldfastError | null = null;

  constructor(source: TreeSource, options: ReceiveTreeOptions) {
    this.#source = source;
    this.#options = options;
    this.#host = options.host;
    this.#destination = options.destination || ".";
    this.#reader = new TreeReader(source);
  }

  async run(): Promise<TreeTotals> {
    try {
      await this.#lookAtDestination();
      for (let record = await this.#next(); record.type !== END_OF_TREE;) {
        if (record.type !== ENTRY) throw malformed();
        await this.#receive(decodeEntry(record.payload, this.#stack.length));
        record = await this.#next();
      }
      this.#leave(0);
    } catch (error) {
      this.#fail(error);
    }
    while (this.#tasks.size > 0) await Promise.all(this.#tasks);
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
    this.#source.cancel(this.#failure);
  }

  /** Runs `task` beside others; waits while too much is under way. */
  async #start(bytes: number, task: () => Promise<void>): Promise<void> {
    while (this.#tasks.size >= TASKS || (this.#held > 0 && this.#held + bytes > HELD)) {
      await Promise.race(this.#tasks);
    }
    this.#spawn(bytes, task);
  }

  #spawn(bytes: number, task: () => Promise<void>): Promise<void> {
    this.#held += bytes;
    const running: Promise<void> = task().catch((error) => this.#fail(error)).then(() => {
      this.#held -= bytes;
      this.#tasks.delete(running);
    });
    this.#tasks.add(running);
    return running;
  }

  // Where things belong

  async #lookAtDestination(): Promise<void> {
    const { names } = this.#options;
    const destination = this.#destination;
    const found = await orNull(this.#host.stat(destination));
    this.#inside = found?.type === "directory";
    if (names.length > 1 && !this.#inside) {
      throw new HoldfastError(
        found ? "io" : "not_found",
        `Cannot copy into ${JSON.stringify(destination)}: ${found ? "not a" : "no such"} directory`,
      );
    }
  }

  async #place(entry: TreeEntry): Promise<Place> {
    if (entry.depth > 0) {
      const parent = this.#stack[entry.depth - 1];
      parent.open++;
      const above = parent.path.endsWith("/") ? parent.path : `${parent.path}/`;
      return { path: above + entry.name, parent, existing: null };
    }
    const { names } = this.#options;
    const destination = this.#destination;
    const name = names[entry.name as number];
    if (name === undefined) throw malformed();
    let path = destination;
    if (this.#inside && name) path = `${destination.replace(/\/+$/, "")}/${name}`;
    if (this.#seen.has(path)) {
      throw new HoldfastError(
        "io",
        `Cannot write ${JSON.stringify(path)}: two sources have its name`,
      );
    }
    this.#seen.add(path);
    if (entry.type === "directory") return { path, parent: null, existing: null };
    const place = { path, parent: null, existing: await orNull(this.#host.lstat(path)) };
    // As cp does: content goes where a link leads, a link replaces a link.
    for (let links = 0; place.existing?.type === "symlink" && entry.type === "file"; links++) {
      const target = await this.#host.readLink(place.path);
      const from = place.path.slice(0, place.path.lastIndexOf("/") + 1);
      place.path = target.startsWith("/") ? target : from + target;
      place.existing = await orNull(this.#host.lstat(place.path));
      if (place.existing && links < 40) continue;
      throw new HoldfastError(
        "io",
        `Cannot write ${JSON.stringify(path)}: it is a link to nothing`,
      );
    }
    if (place.existing?.type === "other") throw notRegular(place.path);
    if (place.existing?.type === "directory" || path.endsWith("/")) {
      const why = place.existing ? "it is a directory" : "no such directory";
      throw new HoldfastError("io", `Cannot write ${JSON.stringify(place.path)}: ${why}`);
    }
    return place;
  }

  // Entries

  async #receive(entry: TreeEntry): Promise<void> {
    this.#leave(entry.depth);
    const place = await this.#place(entry);
    const { path } = place;
    if (entry.type === "directory") {
      this.#totals.directories++;
      const folder: Folder = { ...place, entry, open: 1, ready: Promise.resolve(), fresh: false };
      this.#stack.push(folder);
      await this.#start(0, () => folder.ready = this.#makeDirectory(folder));
    } else if (entry.type === "symlink") {
      this.#totals.links++;
      await this.#start(0, () => this.#makeLink(entry, place));
    } else if (entry.type === "file") {
      await this.#receiveFile(entry, place);
    } else {
      this.#totals.skipped++;
      this.#options.onSkip?.(path);
      this.#release(place.parent);
    }
  }

  /** Directories at and below `depth` are complete. */
  #leave(depth: number): void {
    while (this.#stack.length > depth) this.#release(this.#stack.pop()!);
  }

  /** An entry of `folder` is finished. After the last one the directory gets its mode and time. */
  #release(folder: Folder | null): void {
    if (folder && --folder.open === 0) {
      this.#spawn(0, async () => {
        await folder.ready;
        await this.#setAttributes(folder.path, folder.entry);
        this.#release(folder.parent);
      });
    }
  }

  async #makeDirectory(folder: Folder): Promise<void> {
    const { path, parent } = folder;
    await parent?.ready;
    try {
      await this.#host.mkdir(path, 0o700);
      folder.fresh = true;
    } catch (error) {
      // The destination itself may be a link to a directory; below it links are not followed.
      const top = this.#inside && path === this.#destination;
      const found = await orNull(top ? this.#host.stat(path) : this.#host.lstat(path));
      if (found?.type === "directory") return;
      if (!found) throw error;
      const text = `Cannot make directory ${JSON.stringify(path)}: something else has its name`;
      throw new HoldfastError("io", text);
    }
  }

  async #makeLink(entry: TreeEntry, { path, parent }: Place): Promise<void> {
    await parent?.ready;
    await this.#checkReplaceable(path, parent);
    await this.#replace(path, (temporary) => this.#host.symlink(entry.target!, temporary));
    this.#release(parent);
  }

  /** A file of one block is written beside others, any other while it arrives. */
  async #receiveFile(entry: TreeEntry, place: Place): Promise<void> {
    const records: TreeRecord[] = [];
    const next = async () => records.shift() ?? await this.#next();
    const save = () => this.#save(entry, place, next);
    if (entry.size! <= BLOCK) {
      records.push(await this.#next());
      if (records[0].type === DATA) records.push(await this.#next());
    }
    if (records.at(-1)?.type === END_OF_FILE) await this.#start(records[0].payload.length, save);
    else await this.#spawn(0, save);
  }

  async #save(entry: TreeEntry, place: Place, next: () => Promise<TreeRecord>): Promise<void> {
    const { path, parent, existing } = place;
    const mode = entry.mode ?? existing?.mode ?? null;
    await parent?.ready;
    await this.#checkReplaceable(path, parent);
    await this.#replace(path, async (temporary) => {
      const file = await this.#host.create(temporary, mode === null ? undefined : mode & 0o777);
      const digest = new ContentDigest();
      let busy: Promise<unknown> = Promise.resolve();
      let done = 0;
      try {
        let record = await next();
        for (; record.type === DATA; record = await next()) {
          const { payload } = record;
          await busy;
          busy = Promise.all([digest.update(payload), file.write(payload)]);
          busy.catch(() => {});
          this.#count(path, payload.length, done += payload.length, entry.size);
        }
        await busy;
        if (record.type !== END_OF_FILE) throw malformed();
        if (!await digest.matches(record.payload)) {
          const text = `Cannot write ${JSON.stringify(path)}: its content was damaged on the way`;
          throw new HoldfastError("corrupt", text);
        }
        // Writing takes set-id bits away.
        const again = mode !== null && mode & 0o7000 ? mode : null;
        await this.#setAttributes(temporary, { ...entry, mode: again });
        await file.sync();
      } finally {
        await busy.catch(() => {});
        await file.close();
      }
    });
    this.#totals.files++;
    this.#release(parent);
  }

  /** What is neither file nor link in a directory that was there before must not be renamed over. */
  async #checkReplaceable(path: string, parent: Folder | null): Promise<void> {
    if (!parent || parent.fresh) return;
    const found = await orNull(this.#host.lstat(path));
    if (found?.type === "other") throw notRegular(path);
  }

  /** Makes something under a temporary name and renames it over `path`; removes it when that fails. */
  async #replace(path: string, make: (temporary: string) => Promise<void>): Promise<void> {
    const name = `.holdfast-${crypto.randomUUID().slice(0, 8)}.tmp`;
    const temporary = path.slice(0, path.lastIndexOf("/") + 1) + name;
    try {
      if (this.#failure) throw this.#failure;
      await make(temporary);
      await this.#host.rename(temporary, path);
    } catch (error) {
      await this.#host.remove(temporary).catch(() => {});
      const { kind, message } = toHoldfastError(error);
      throw new HoldfastError(kind, message.replaceAll(temporary, path), { cause: error });
    }
  }

  async #setAttributes(path: string, { mode, mtime }: TreeEntry): Promise<void> {
    if (mode !== null) await this.#host.chmod(path, mode);
    if (mtime !== null) await this.#host.setTime(path, mtime);
  }

  #count(
    path: string,
    bytes: number,
    done: number,
    size = null as number | null | undefined,
  ): void {
    this.#totals.bytes += bytes;
    this.#options.onProgress?.({ path, done, size: size ?? null, totals: this.#totals });
  }
}

/** Null when there is no such file. */
async function orNull(found: Promise<FileInfo>): Promise<FileInfo | null> {
  try {
    return await found;
  } catch (error) {
    if ((error as HoldfastError).kind === "not_found") return null;
    throw error;
  }
}

function notRegular(path: string): HoldfastError {
  const text = `Cannot write ${JSON.stringify(path)}: it is a device, pipe or socket, no file`;
  return new HoldfastError("io", text);
}

function malformed(): HoldfastError {
  return new HoldfastError("protocol", "Cannot read tree: a record is out of place");
}
