/** The connection method `bwrap[=DIRECTORY]`: a bubblewrap sandbox with that directory, or everything, as its root. */
import { absolute } from "../../core/host_paths.ts";
import type { ConnectionMethod } from "../connection_method.ts";

/** No `--die-with-parent`: the core ends with its link, and then in order. */
export const bwrap: ConnectionMethod = {
  words: (script, { argument, host }) => [
    ...["bwrap", "--dev-bind", absolute(host, argument ?? "/"), "/"],
    ...argument === undefined ? [] : ["--dev", "/dev", "--proc", "/proc"],
    ...["--", "sh", "-c", script],
  ],
  fleeting: ({ argument }) => argument === undefined ? [] : ["/dev"],
  noun: "directory",
  absent: /source path|Not a directory/,
  denied: /ermission|not permitted/,
};
