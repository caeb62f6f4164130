/**
 * What this machine lacks of what a test needs. A test that misses something is registered as
 * ignored under a name that says what, see `test.needs` in `test.ts`.
 */

import { findExecutable } from "./tools.ts";
import { withoutRuntimes } from "./without_runtimes.ts";

/**
 * A program's name, or one of
 * - `root`: we run as root, so accounts can be made
 * - `namespaces`: root may also mount, so runtimes can be hidden from an sshd's sessions
 * - `bash-completion`: the package of that name
 * - `fuse`: file systems can be served by processes
 * - `linux`: /proc and Linux semantics
 */
export type Need = string;

/** What a user's `.bashrc` reads of that package. */
export const BASH_COMPLETION = "/usr/share/bash-completion/bash_completion";

const special: Record<string, () => boolean> = {
  "bash-completion": () => exists(BASH_COMPLETION),
  fuse: canServeFiles,
  linux: () => Deno.build.os === "linux",
  root: () => Deno.build.os === "linux" && Deno.uid() === 0,
  namespaces: canHideRuntimes,
  sshd: () => findExecutable("sshd") !== undefined && findExecutable("ssh-keygen") !== undefined,
};

const known = new Map<Need, boolean>();

/** Those of `needs` that this machine cannot satisfy, in the given order. */
export function missing(needs: readonly Need[]): Need[] {
  return needs.filter((need) => !has(need));
}

/** Whether one need is satisfied here. */
export function has(need: Need): boolean {
  let answer = known.get(need);
  if (answer === undefined) {
    answer = special[need]?.() ?? findExecutable(need) !== undefined;
    known.set(need, answer);
  }
  return answer;
}

function exists(path: string): boolean {
  try {
    return Deno.statSync(path).isFile;
  } catch {
    return false;
  }
}

function canServeFiles(): boolean {
  try {
    Deno.openSync("/dev/fuse", { read: true, write: true }).close();
    return true;
  } catch {
    return false;
  }
}

function canHideRuntimes(): boolean {
  if (!has("root") || !findExecutable("unshare")) return false;
  const dir = Deno.makeTempDirSync({ prefix: "hf-" });
  try {
    const [program, ...args] = withoutRuntimes(dir, ["true"]);
    return new Deno.Command(program, { args, stdin: "null", stdout: "null", stderr: "null" })
      .outputSync().success;
  } finally {
    Deno.removeSync(dir, { recursive: true });
  }
}
