/**
 * A context as the place where the tools of hops behind it run, when there is no core behind it that could be a context.
 * For `hop_connection.ts`.
 */
import type { ProcessHost } from "../core/host.ts";
import { spawnInContext } from "./spawn_in_context.ts";
import type { Tree } from "./tree.ts";

/** Its processes end with the context, as all that it runs. */
export function contextHost(tree: Tree, context: number): ProcessHost {
  return {
    runtime: "direct",
    runtimePath: null,
    shell: null,
    // Unknown, as of a host that only SSH reaches.
    home: () => "",
    spawn: (options) => spawnInContext(tree, context, options),
  };
}
