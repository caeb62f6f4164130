/**
 * What a built file knows of itself, put before the program by `scripts/build.ts`. In a source tree there is none, and
 * everything is made when it is needed.
 */

export interface BuildInfo {
  /** The commit that it was made from; `+` at its end: with changes. */
  commit: string;
  /** By `deno compile`: the file is the runtime, and unpacks nothing. */
  compiled?: true;
  /** sha256 of the core, hex. */
  coreHash: string;
  /** In the daemon's part, and of `bootstrap` the core: raw deflate, base64, under `core` and the ids of our own modules. */
  scripts?: Record<string, string>;
}

export function buildInfo(): BuildInfo | null {
  return (globalThis as { holdfastBuild?: BuildInfo }).holdfastBuild ?? null;
}

/** Where a built file's program and runtime lie; null in a source tree. */
export function unpackedDir(): string | null {
  return buildInfo()
    ? decodeURIComponent(new URL(".", import.meta.url).pathname).slice(0, -1)
    : null;
}

/** A script that was compiled when the file was built; null where it is to be compiled now. */
export function builtScript(name: string): Uint8Array | null {
  const script = buildInfo()?.scripts?.[name];
  return script === undefined ? null : Uint8Array.fromBase64(script);
}

/**
 * Environment of a built file's runtime, set by its launcher (`scripts/build/head.sh`), which keeps the user's own under
 * the same names with `HF_` before them. Whoever starts another program gives it back first.
 */
const LAUNCH_ENVIRONMENT = ["DENO_DIR", "DENO_NO_UPDATE_CHECK", "DENO_DISABLE_NODE_SHIM"];

/** Where the launcher says which file it is. */
const LAUNCHED_FILE = "HF_FILE";

/**
 * The built file that was started, as it was called: perhaps by a link, perhaps relative to the working directory. To be
 * asked for before `restoreEnvironment`; undefined in a source tree.
 */
export function launchedFile(): string | undefined {
  const build = buildInfo();
  if (build?.compiled) return Deno.execPath();
  return build ? Deno.env.get(LAUNCHED_FILE) : undefined;
}

/** Undoes what the launcher did to the environment; idempotent, and does nothing in a source tree. */
export function restoreEnvironment(): void {
  if (!buildInfo()) return;
  Deno.env.delete(LAUNCHED_FILE);
  for (const name of LAUNCH_ENVIRONMENT) {
    const own = Deno.env.get(`HF_${name}`);
    if (own === undefined) continue; // It is done.
    if (own) Deno.env.set(name, own);
    else Deno.env.delete(name);
    Deno.env.delete(`HF_${name}`);
  }
}
