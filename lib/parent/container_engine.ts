/** What the connection methods `docker` and `podman` share: one command line, and messages of one origin. */
import type { ConnectionMethod } from "./connection_method.ts";

export function containerEngine(tool: string): ConnectionMethod {
  return {
    words: (script, { argument }) => [tool, "exec", "-i", "--", argument!, "sh", "-c", script],
    failures: [
      [/[Nn]o such container/, "not_found", "there is no such container"],
      [/not running|running containers/, "bootstrap", "the container is not running"],
      [/executable file|no such file/, "bootstrap", "there is no shell in the container"],
      [/[Pp]ermission denied/, "permission", `${tool} does not allow it`],
      [/[Cc]annot connect/, "connect", `${tool} cannot be reached`],
    ],
  };
}
