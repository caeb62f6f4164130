/** What the connection methods `lxc` (LXD) and `incus` share: Incus grew out of LXD. */
import type { ConnectionMethod } from "./connection_method.ts";

export function instanceManager(tool: string): ConnectionMethod {
  return {
    words: (script, { argument }) => [tool, "exec", "-T", argument!, "--", "sh", "-c", script],
    noun: "instance",
    failures: {
      noShell: /ommand not found|executable file/,
      absent: /not found/,
      stopped: /not running/,
      denied: /permission denied|not authorized|orbidden/,
      unreachable: /connection refused|no such file|dial unix/,
    },
  };
}
