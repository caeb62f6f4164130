/**
 * Where plain ssh finds the control sockets of connections that the daemon holds: `holdfast setup ssh-config` writes it
 * into ssh_config, and there the daemon listens.
 */
import type { RuntimeDir } from "./runtime_dir.ts";

/** Longest path of a Unix socket on Linux, in bytes. */
const LONGEST = 107;

/** All of them, below the runtime directory; one daemon makes it and the next removes it. */
export function controlDirectory({ path }: Pick<RuntimeDir, "path">): string {
  return `${path}/ssh`;
}

/** For ssh_config and ssh's `-S`: a name that says which host, port and user. */
export function controlPathPattern(dir: Pick<RuntimeDir, "path">): string {
  return `${controlDirectory(dir).replaceAll("%", "%%")}/%C`;
}

/** Whether a socket can be at what `ssh -G` makes of that pattern. */
export function isControlPath(path: string, dir: Pick<RuntimeDir, "path">): boolean {
  return path.startsWith(`${controlDirectory(dir)}/`) &&
    new TextEncoder().encode(path).length <= LONGEST;
}

/** One for all targets, for `holdfast exec`. */
export function execSocket(dir: Pick<RuntimeDir, "path">): string {
  return `${controlDirectory(dir)}/exec`;
}
