/**
 * How the tests start the product: from the source tree, or with HOLDFAST_TEST_BUILT the built file `dist/holdfast` in
 * the place of it, for a user who has no Deno. `scripts/test.ts` builds it and sets the variable.
 */

import { describeProcesses, type ProcessInfo } from "./processes.ts";
import { tempBase } from "./temp.ts";
import { searchPath } from "./tools.ts";

/** The repository's root. */
export const REPOSITORY: string = new URL("../../", import.meta.url).pathname.replace(/\/$/, "");

/**
 * - `empty-home`: it is unpacked into each new home
 * - `read-only-home`: nothing can be written to the home, as root neither
 * - `relocated`: from another place, under another name
 */
export type Variant = "empty-home" | "read-only-home" | "relocated";

const VARIANT = Deno.env.get("HOLDFAST_TEST_BUILT") as Variant | undefined;
const SOURCE = [Deno.execPath(), "run", "--quiet", "-A", `${REPOSITORY}/main.ts`];

/** The words that start it, before its own arguments. */
export function programWords({ home }: { home?: string } = {}): string[] {
  switch (VARIANT) {
    case undefined:
      return SOURCE;
    case "empty-home":
      return [BUILT];
    case "read-only-home": {
      const script = 'mount --bind "$0" "$0" && mount -o remount,bind,ro "$0" && exec "$@"';
      return home ? ["unshare", "--mount", "sh", "-c", script, home, BUILT] : [BUILT];
    }
    case "relocated":
      return [relocated ??= relocate()];
  }
}

/** The same as a line for a shell. */
export function programLine(options?: { home?: string }): string {
  return programWords(options).map((word) => `'${word.replaceAll("'", "'\\''")}'`).join(" ");
}

/** The executable file of it, without which it is nothing: what runs it, or all of it. */
export function programFile(): string {
  return programWords()[0];
}

/** What it needs in its environment besides what its user has. */
export function programEnvironment(denoDir: string): Record<string, string> {
  if (VARIANT === undefined) return { DENO_DIR: denoDir };
  const PATH = denoFreePath ??= linkPrograms(`${tempBase()}/bin`);
  if (VARIANT === "empty-home") return { PATH };
  // One copy for all homes of a test file.
  const name = VARIANT === "relocated" ? "XDG_CACHE_HOME" : "XDG_RUNTIME_DIR";
  return { PATH, [name]: shared ??= makeShared() };
}

/**
 * What shows that the built file was not run as it was to be, by the processes that it has left in the background for the
 * user of a home; null if nothing does.
 */
export function findForeign(home: string, processes: ProcessInfo[]): string | null {
  if (VARIANT === undefined) return null;
  const machines = Deno.realPathSync(Deno.execPath());
  const foreign = processes.filter(({ pid }) => executableOf(pid) === machines);
  if (foreign.length > 0) return `this machine's Deno runs ${describeProcesses(foreign)}`;
  const unpacked = namesIn(`${home}/.cache/holdfast`).length;
  const wrong = VARIANT === "empty-home" ? processes.length > 0 && unpacked !== 1 : unpacked > 0;
  return wrong ? `${VARIANT}: it was unpacked ${unpacked} times into the home` : null;
}

function executableOf(pid: number): string | null {
  try {
    return Deno.readLinkSync(`/proc/${pid}/exe`);
  } catch {
    return null; // gone meanwhile
  }
}

const BUILT = `${REPOSITORY}/dist/holdfast`;

let relocated: string | undefined;
let denoFreePath: string | undefined;
let shared: string | undefined;

function relocate(): string {
  const path = `${tempBase()}/its own place/hold fast`;
  Deno.mkdirSync(path.slice(0, path.lastIndexOf("/")));
  Deno.copyFileSync(BUILT, path);
  return path;
}

function makeShared(): string {
  const path = `${tempBase()}/unpacked`;
  Deno.mkdirSync(path, { mode: 0o700 });
  return path;
}

/** Makes a directory of links to all programs but Deno and `without`; returns its path, to be a PATH. */
export function linkPrograms(path: string, { without = [] }: { without?: string[] } = {}): string {
  Deno.mkdirSync(path);
  const linked = new Set(["deno", ...without]);
  for (const dir of searchPath()) {
    for (const name of namesIn(dir)) {
      if (linked.has(name)) continue;
      linked.add(name);
      Deno.symlinkSync(`${dir}/${name}`, `${path}/${name}`);
    }
  }
  return path;
}

function namesIn(dir: string): string[] {
  try {
    return [...Deno.readDirSync(dir)].map(({ name }) => name);
  } catch {
    return [];
  }
}
