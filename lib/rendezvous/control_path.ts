/**
 * Where plain ssh finds the control sockets of connections that the daemon holds: `holdfast setup ssh-config` writes it
 * into ssh_config, and there the daemon listens.
 */
import type { RuntimeDir } from "./runtime_dir.ts";

/** Longest path of a Unix socket on Linux, in bytes; ssh appends some while it makes one, but not here. */
const LONGEST = 107;

/** All of them, below the runtime directory; one daemon makes it and the next removes it. */
export function controlDirectory({ path }: Pick<RuntimeDir, "path">): string {
  return `${path}/ssh`;
}

/** Whether this ControlPath of a host's, as `ssh -G` prints it, is one of ours. */
export function isControlPath(path: string, dir: Pick<RuntimeDir, "path">): boolean {
  const directory = `${controlDirectory(dir)}/`;
  return path.startsWith(directory) && !path.slice(directory.length).includes("/") &&
    new TextEncoder().encode(path).length <= LONGEST;
}
