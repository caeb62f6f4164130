/** What the connection methods `docker` and `podman` share: one command line, and messages of one origin. */
import type { ConnectionMethod } from "./connection_method.ts";

export function containerEngine(tool: string): ConnectionMethod {
  return {
    words: (script, { argument }) => [tool, "exec", "-i", "--", argument!, "sh", "-c", script],
    noun: "container",
    failures: {
      absent: /[Nn]o such container/,
      stopped: /not running|running containers/,
      noShell: /executable file|no such file/,
      denied: /ermission denied/,
      unreachable: /annot connect/,
    },
  };
}
