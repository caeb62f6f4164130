/**
 * Inventories as files and directories, with a memory: asking Ansible takes a second, they rarely change. For
 * `stack_files.ts`; the daemon has one for its life.
 */

import { dirname } from "node:path";
import { HoldfastError } from "../core/errors.ts";
import { printable } from "../core/printable.ts";
import { Inventory, isInventory } from "./inventory.ts";
import { runAnsibleInventory } from "./inventory_command.ts";
import { lookAtInventory, type Sight } from "./inventory_sight.ts";
import { untilAborted } from "../core/until_aborted.ts";

export interface InventoryFilesOptions {
  /** Milliseconds, only ever compared. Default `performance.now`. */
  now?: () => number;
  /** Does the work. Default {@linkcode runAnsibleInventory}. */
  run?: typeof runAnsibleInventory;
}

export interface InventoryRequest {
  /** Absolute, in order; of a host in several the first says what it is. At least one. */
  paths: string[];
  /** The asking client's. */
  env: Record<string, string>;
  signal: AbortSignal;
}

/** Several inventories as one. */
export type InventoryTable = Pick<Inventory, "entry" | "names">;

/** Milliseconds that the answer of scripts and of plugins that ask elsewhere lives. */
const VOLATILE_LIFE = 60_000;
/** Answers kept; the least recently used goes first. */
const CAPACITY = 8;
/** Environment that decides what Ansible answers. */
const VARIABLES = ["HOME", "USER", "PATH", "ANSIBLE_CONFIG"];

interface Memory {
  stamp: string;
  /** On the clock, or null for as long as the files stay. */
  expires: number | null;
  table: InventoryTable;
}

/** One reading that all who ask meanwhile wait for; the last who gives up ends it. */
interface Reading {
  table: Promise<InventoryTable>;
  waiting: number;
  controller: AbortController;
}

/**
 * - Read again when a file, a directory or a `group_vars` or `host_vars` beside it has changed.
 * - Failures are not remembered.
 */
export class InventoryFiles {
  readonly #now: () => number;
  readonly #run: typeof runAnsibleInventory;
  readonly #memories: Map<string, Memory> = new Map();
  readonly #readings: Map<string, Reading> = new Map();

  constructor(options: InventoryFilesOptions = {}) {
    this.#now = options.now ?? (() => performance.now());
    this.#run = options.run ?? runAnsibleInventory;
  }

  /** Fails with kind `resolve`, `timeout` or `cancelled`. */
  async load(request: InventoryRequest): Promise<InventoryTable> {
    const { paths, env, signal } = request;
    const key = JSON.stringify([paths, VARIABLES.map((name) => env[name])]);
    // Before reading, so that a change meanwhile shows.
    const sight = await lookAtInventory(paths);
    const memory = this.#memories.get(key);
    if (memory && memory.stamp === sight.stamp && this.#now() < (memory.expires ?? Infinity)) {
      this.#memories.delete(key);
      this.#memories.set(key, memory); // now the most recently used
      return memory.table;
    }
    const readingKey = `${key} ${sight.stamp}`;
    let reading = this.#readings.get(readingKey);
    if (!reading || reading.controller.signal.aborted) {
      const controller = new AbortController();
      const table = this.#read({ ...request, signal: controller.signal }, { key, sight });
      const fresh: Reading = { table, waiting: 0, controller };
      table.catch(() => {}).finally(() => {
        if (this.#readings.get(readingKey) === fresh) this.#readings.delete(readingKey);
      });
      this.#readings.set(readingKey, fresh);
      reading = fresh;
    }
    reading.waiting++;
    try {
      return await untilAborted(reading.table, signal);
    } finally {
      if (--reading.waiting === 0) reading.controller.abort();
    }
  }

  async #read(
    { paths, env, signal }: InventoryRequest,
    { key, sight }: { key: string; sight: Sight },
  ): Promise<InventoryTable> {
    const directory = dirname(paths[0]);
    const outputs = await Promise.all(paths.map(readOutput));
    const others = paths.filter((_, index) => outputs[index] === null);
    // Ansible merges those that it reads; they stand where the first of them does.
    const merged = others.length > 0
      ? await this.#run({ paths: others, directory, env, signal })
      : null;
    const tables: Inventory[] = [];
    for (const [index, path] of paths.entries()) {
      const text = outputs[index] ?? (path === others[0] ? merged : null);
      if (text === null) continue;
      const named = outputs[index] === null ? others.join(", ") : path;
      tables.push(new Inventory(text, { source: `inventory ${named}`, directory }));
    }
    const table: InventoryTable = {
      entry(name) {
        const found = tables.find((inventory) => inventory.has(name));
        return found?.entry(name);
      },
      names: () => [...new Set(tables.flatMap((inventory) => inventory.names()))],
    };
    const expires = await sight.isVolatile() ? this.#now() + VOLATILE_LIFE : null;
    this.#memories.set(key, { stamp: sight.stamp, expires, table });
    if (this.#memories.size > CAPACITY) {
      this.#memories.delete(this.#memories.keys().next().value!);
    }
    return table;
  }
}

/** The text of a file that holds ansible-inventory's output; null for everything else. */
async function readOutput(path: string): Promise<string | null> {
  if (!path.endsWith(".json")) return null;
  try {
    const text = await Deno.readTextFile(path);
    return isInventory(text) ? text : null;
  } catch (cause) {
    if (cause instanceof Deno.errors.IsADirectory) return null;
    const why = printable((cause as Error).message);
    const text = `Cannot read inventory "${printable(path)}": ${why}`;
    throw new HoldfastError("resolve", text, { cause });
  }
}
