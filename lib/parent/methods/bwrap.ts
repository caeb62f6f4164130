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
  failures: [
    [/execvp/, "bootstrap", "there is no shell in the directory"],
    [/find source path|Not a directory/, "not_found", "there is no such directory"],
    [/ermission|not permitted/, "permission", "the system does not allow it"],
  ],
};
