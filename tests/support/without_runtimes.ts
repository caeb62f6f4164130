/**
 * Runs a program in a mount namespace where the machine's deno, node and bun do not exist; `startSshd`
 * uses it, so that its sessions find only the runtimes that an account was given.
 */

import { searchPath } from "./tools.ts";

export type Mount = { empty: string } | "ro" | "noexec";

const NAMES = ["deno", "node", "nodejs", "bun", "bunx", "npx", "npm"];

/**
 * The command line that runs `command` so; the process that starts keeps its pid throughout. Each
 * directory of the search path that holds a runtime gets an overlay whose upper layer has a whiteout
 * in its place: merely masking the file would not do, since bash's `command -v` also finds what is
 * not executable. `scratch` is an empty place for the layers and must outlive the process. `mounts` are directories
 * that are something else there: `empty`, in memory and as large as it says; as they are here, but read-only (`ro`) or
 * with no programs that run (`noexec`).
 */
export function withoutRuntimes(
  scratch: string,
  command: string[],
  { mounts = {} }: { mounts?: Record<string, Mount> } = {},
): string[] {
  const script: string[] = ["set -e"];
  [...directoriesWithRuntimes()].forEach(([directory, names], index) => {
    const layer = `${scratch}/hidden${index}`;
    script.push(`mkdir -p ${quote(layer)}`);
    for (const name of names) {
      const whiteout = quote(`${layer}/${name}`);
      script.push(`[ -e ${whiteout} ] || mknod ${whiteout} c 0 0`);
    }
    script.push(
      `mount -t overlay -o ${quote(`ro,lowerdir=${layer}:${directory}`)} overlay ${
        quote(directory)
      }`,
    );
  });
  // Root's sessions would find what a built file has unpacked for us.
  const cache = quote(`${rootsHome()}/.cache/holdfast`);
  script.push(`[ ! -d ${cache} ] || mount -t tmpfs tmpfs ${cache}`);
  for (const [path, mount] of Object.entries(mounts)) {
    const at = quote(path);
    if (typeof mount === "object") {
      script.push(`mount -t tmpfs -o mode=1777,size=${mount.empty} tmpfs ${at}`);
    } else script.push(`mount --bind ${at} ${at}`, `mount -o remount,bind,${mount} ${at}`);
  }
  script.push('exec "$@"');
  return ["unshare", "--mount", "sh", "-c", script.join("\n"), "sh", ...command];
}

/** As the account has it, whatever our own environment says. */
export function rootsHome(): string {
  return /^root:(?:[^:]*:){4}([^:]*)/m.exec(Deno.readTextFileSync("/etc/passwd"))![1];
}

function directoriesWithRuntimes(): Map<string, string[]> {
  const found = new Map<string, string[]>();
  for (const path of searchPath()) {
    try {
      const directory = Deno.realPathSync(path);
      const names = NAMES.filter((name) => exists(`${directory}/${name}`));
      if (names.length > 0) found.set(directory, names);
    } catch {
      // PATH may name what does not exist.
    }
  }
  return found;
}

function exists(path: string): boolean {
  try {
    Deno.lstatSync(path);
    return true;
  } catch {
    return false;
  }
}

function quote(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`;
}
