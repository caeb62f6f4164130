/** What the connection methods `lxc` (LXD) and `incus` share: Incus grew out of LXD. */
import type { ConnectionMethod } from "./connection_method.ts";

export function instanceManager(tool: string): ConnectionMethod {
  return {
    words: (script, { argument }) => [tool, "exec", "-T", argument!, "--", "sh", "-c", script],
    failures: [
      [/[Cc]ommand not found|executable file/, "bootstrap", "there is no shell in the instance"],
      [/not found/, "not_found", "there is no such instance"],
      [/not running/, "bootstrap", "the instance is not running"],
      [/permission denied|not authorized|[Ff]orbidden/, "permission", `${tool} does not allow it`],
      [/connection refused|no such file|dial unix/, "connect", `${tool} cannot be reached`],
    ],
  };
}
