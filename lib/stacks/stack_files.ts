/**
 * The real {@linkcode StackSources}: a client's hosts file and the inventory that it names, found on its behalf and
 * remembered as long as they do not change. The daemon has one for its life.
 */

import { isAbsolute, join } from "node:path";
import { HoldfastError } from "../core/errors.ts";
import { printable } from "../core/printable.ts";
import { type HostsFile, parseHostsFile } from "./hosts_file.ts";
import { InventoryFiles, type InventoryTable } from "./inventory_files.ts";
import type { StackSources } from "./stack_resolver.ts";

/** On whose behalf files are read. */
export interface StackContext {
  /** The asking client's environment: HOLDFAST_HOSTS, XDG_CONFIG_HOME and HOME decide which file. */
  env: Record<string, string>;
  /** Its working directory, where a relative HOLDFAST_HOSTS starts. */
  cwd: string;
  signal: AbortSignal;
}

export interface StackFilesOptions {
  inventories?: InventoryFiles;
}

/** Bytes of a hosts file. */
const MOST_BYTES = 4 * 1024 * 1024;
/** Hosts files kept; the least recently used goes first. */
const CAPACITY = 16;

interface Memory {
  stamp: string;
  file: HostsFile;
}

/**
 * - Without a hosts file a look-up costs one failed stat, with one that has not changed one stat.
 * - Nothing is read before it is needed; within one {@linkcode StackSources} everything at most once.
 * - As ssh with its configuration, refuses a hosts file that others could have written: it may name programs.
 */
export class StackFiles {
  readonly #inventories: InventoryFiles;
  readonly #memories: Map<string, Memory> = new Map();

  constructor(options: StackFilesOptions = {}) {
    this.#inventories = options.inventories ?? new InventoryFiles();
  }

  /** What one request sees. Its methods fail with kind `resolve`, `timeout` or `cancelled`. */
  sourcesFor(context: StackContext): StackSources {
    let hosts: Promise<HostsFile | null> | undefined;
    let inventory: Promise<InventoryTable | null> | undefined;
    return {
      hosts: () => hosts ??= this.#hosts(context),
      inventory: () => inventory ??= this.#inventory(hosts ??= this.#hosts(context), context),
    };
  }

  async #hosts(context: StackContext): Promise<HostsFile | null> {
    const place = hostsPath(context);
    if (place === null) return null;
    const { path, isDemanded } = place;
    let info: Deno.FileInfo;
    try {
      info = await Deno.stat(path);
    } catch (error) {
      const missing = error instanceof Deno.errors.NotFound ||
        error instanceof Deno.errors.NotADirectory;
      if (missing && !isDemanded) return null;
      throw unreadable(path, missing ? "it does not exist" : (error as Error).message, error);
    }
    const stamp = `${info.mtime?.getTime()}:${info.size}:${info.ino}:${info.mode}:${info.uid}`;
    const memory = this.#memories.get(path);
    this.#memories.delete(path);
    if (memory?.stamp === stamp) {
      this.#memories.set(path, memory); // now the most recently used
      return memory.file;
    }
    checkFile(path, info);
    const text = await Deno.readTextFile(path).catch((error) => {
      throw unreadable(path, error.message, error);
    });
    const file = await parseHostsFile(text, { path });
    this.#memories.set(path, { stamp, file });
    if (this.#memories.size > CAPACITY) {
      this.#memories.delete(this.#memories.keys().next().value!);
    }
    return file;
  }

  async #inventory(
    hosts: Promise<HostsFile | null>,
    { env, signal }: StackContext,
  ): Promise<InventoryTable | null> {
    const { inventory = [] } = await hosts ?? {};
    if (inventory.length === 0) return null;
    const paths = inventory.map((path) =>
      path.startsWith("~/") ? join(env.HOME ?? "/", path.slice(2)) : path
    );
    return await this.#inventories.load({ paths, env, signal });
  }
}

/** Null when there is nowhere to look. HOLDFAST_HOSTS must exist if it is set, unless it is `none`. */
function hostsPath({ env, cwd }: StackContext): { path: string; isDemanded: boolean } | null {
  const { HOLDFAST_HOSTS: demanded, XDG_CONFIG_HOME: config, HOME: home } = env;
  if (demanded === "none") return null;
  if (demanded) {
    return { path: isAbsolute(demanded) ? demanded : join(cwd, demanded), isDemanded: true };
  }
  // The XDG specification has relative ones ignored.
  const directory = config && isAbsolute(config) ? config : home && join(home, ".config");
  return directory ? { path: join(directory, "holdfast/hosts.toml"), isDemanded: false } : null;
}

function checkFile(path: string, { isFile, size, mode, uid }: Deno.FileInfo): void {
  if (!isFile) throw unreadable(path, "it is not a regular file");
  if (size > MOST_BYTES) {
    throw unreadable(path, `it has ${size} bytes, and ${MOST_BYTES} is the most`);
  }
  if (uid !== 0 && uid !== Deno.uid()) throw unreadable(path, "it belongs to somebody else");
  if (((mode ?? 0) & 0o022) !== 0) {
    throw unreadable(path, `others can write it; run chmod go-w ${printable(path)}`);
  }
}

function unreadable(path: string, why: string, cause?: unknown): HoldfastError {
  return new HoldfastError("resolve", `Cannot read "${printable(path)}": ${printable(why)}`, {
    cause,
  });
}
