/** The connection method `chroot=DIRECTORY`: that directory as root, for root. */
import { absolute } from "../../core/host_paths.ts";
import type { ConnectionMethod } from "../connection_method.ts";

export const chroot: ConnectionMethod = {
  // No `--`: busybox's would take it for the directory, and an absolute path needs none.
  words: (script, { argument, host }) => ["chroot", absolute(host, argument!), "sh", "-c", script],
  noun: "directory",
  absent: /root directory.*(No such|Not a)/,
  denied: /ermission denied|not permitted/,
};
