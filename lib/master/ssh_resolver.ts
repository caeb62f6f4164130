/**
 * {@linkcode resolveSsh} with a memory: asking ssh costs a process, the files rarely change. The daemon has
 * one for its life.
 */

import { resolveSsh } from "./ssh_config.ts";
import { configSources } from "./ssh_config_files.ts";
import type { SshContext } from "./ssh_config.ts";
import type { SshOptions, SshSettings } from "./ssh_settings.ts";

export interface SshResolverOptions {
  /** Milliseconds, only ever compared. Default `performance.now`. */
  now?: () => number;
  /** Does the work. Default {@linkcode resolveSsh}. */
  resolve?: typeof resolveSsh;
  /** Answers kept; the least recently used goes first. Default 256. */
  capacity?: number;
}

/** Milliseconds that an answer lives when it depends on more than files (`Match exec`). */
const VOLATILE_LIFE = 30_000;

interface Memory {
  settings: SshSettings;
  /** Of all files and directories involved. */
  stamp: string;
  paths: string[];
  /** Of the environment that the answer depends on. */
  environment: string;
  variables: string[] | "all";
  /** On the clock, or null for as long as the files stay. */
  expires: number | null;
}

/**
 * - An answer is used again only for the same words, directory and relevant environment.
 * - Any change of a file, or in a directory that an Include searches, makes it ask again.
 */
export class SshResolver {
  #now: () => number;
  #resolve: typeof resolveSsh;
  #capacity: number;
  #memories = new Map<string, Memory>();

  constructor(options: SshResolverOptions = {}) {
    this.#now = options.now ?? (() => performance.now());
    this.#resolve = options.resolve ?? resolveSsh;
    this.#capacity = options.capacity ?? 256;
  }

  /** As {@linkcode resolveSsh}. Failures are not remembered. The result is shared: treat it as frozen. */
  async resolve(host: string, options: SshOptions, context: SshContext): Promise<SshSettings> {
    const { env, cwd, reader } = context;
    const key = JSON.stringify([host, canonical(options), cwd, reader ?? "ssh"]);
    const memory = this.#memories.get(key);
    if (memory !== undefined) {
      this.#memories.delete(key);
      if (await this.#isFresh(memory, env)) {
        this.#memories.set(key, memory); // now the most recently used
        return { ...memory.settings, request: { host, options, env, cwd } };
      }
    }
    const sources = await configSources(options);
    const stamp = await stampOf(sources.paths); // before asking, so that a change meanwhile shows
    const settings = await this.#resolve(host, options, context);
    const variables = sources.isVolatile ? "all" : [...new Set(sources.variables)].sort();
    this.#memories.set(key, {
      settings,
      stamp,
      paths: sources.paths,
      variables,
      environment: environmentOf(env, variables),
      expires: sources.isVolatile ? this.#now() + VOLATILE_LIFE : null,
    });
    if (this.#memories.size > this.#capacity) {
      this.#memories.delete(this.#memories.keys().next().value!);
    }
    return settings;
  }

  async #isFresh(memory: Memory, env: Record<string, string>): Promise<boolean> {
    if (memory.expires !== null && this.#now() >= memory.expires) return false;
    if (environmentOf(env, memory.variables) !== memory.environment) return false;
    return await stampOf(memory.paths) === memory.stamp;
  }
}

function canonical(options: SshOptions): unknown[] {
  const { configFile, identityFiles, port, user, jump } = options;
  return [configFile, identityFiles ?? [], port, user, jump, options.options ?? []];
}

function environmentOf(env: Record<string, string>, variables: string[] | "all"): string {
  const names = variables === "all" ? Object.keys(env).sort() : variables;
  return JSON.stringify(names.map((name) => [name, env[name]]));
}

async function stampOf(paths: string[]): Promise<string> {
  const stamps = await Promise.all(paths.map(async (path) => {
    try {
      const { mtime, size, ino } = await Deno.stat(path);
      return `${mtime?.getTime()}:${size}:${ino}`;
    } catch {
      return "missing";
    }
  }));
  return stamps.join("\n");
}
