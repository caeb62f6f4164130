/** What the connection methods `docker` and `podman` share: one command line, and messages of one origin. */
import type { ConnectionMethod } from "./connection_method.ts";

export function containerEngine(tool: string): ConnectionMethod {
  return {
    words: (script, { argument }) => [tool, "exec", "-i", "--", argument!, "sh", "-c", script],
    noun: "container",
    absent: /[Nn]o such container/,
    denied: /ermission denied/,
  };
}
