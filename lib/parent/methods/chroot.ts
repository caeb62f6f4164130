/** The connection method `chroot=DIRECTORY`: that directory as root, for root. */
import { absolute } from "../../core/host_paths.ts";
import type { ConnectionMethod } from "../connection_method.ts";

export const chroot: ConnectionMethod = {
  // No `--`: busybox's would take it for the directory, and an absolute path needs none.
  words: (script, { argument, host }) => ["chroot", absolute(host, argument!), "sh", "-c", script],
  failures: [
    [/failed to run|can't execute/, "bootstrap", "there is no shell in the directory"],
    [/No such file|Not a directory/, "not_found", "there is no such directory"],
    [/ermission denied|not permitted/, "permission", "the system does not allow it"],
  ],
};
