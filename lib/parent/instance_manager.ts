/** What the connection methods `lxc` (LXD) and `incus` share: Incus grew out of LXD. */
import type { ConnectionMethod } from "./connection_method.ts";

export function instanceManager(tool: string): ConnectionMethod {
  return {
    words: (script, { argument }) => [tool, "exec", "-T", argument!, "--", "sh", "-c", script],
    noun: "instance",
    absent: /(nstance|ontainer) not found/,
    denied: /ermission denied|not authorized|orbidden/,
  };
}
