/** How to start this program again: the words that come before its arguments. Used to start the daemon. */
import { buildInfo } from "./build_info.ts";

/** Program and arguments that run this source tree, or the daemon's part of this built file; `engineFlags` are V8's. */
export function selfCommand({ engineFlags = [] }: { engineFlags?: string[] } = {}): string[] {
  const engine = engineFlags.length > 0 ? [`--v8-flags=${engineFlags.join(",")}`] : [];
  const allowed = [Deno.execPath(), "run", "--allow-all", "--quiet", ...engine];
  if (buildInfo()) return [...allowed, ...SELF_CONTAINED, pathOf("daemon.mjs")];
  return [...allowed, `--config=${pathOf("../../deno.json")}`, pathOf("../../main.ts")];
}

/** For Deno: nothing is looked for that is not in the file. `scripts/build/head.sh` has the same. */
export const SELF_CONTAINED = ["--no-config", "--no-lock", "--no-npm", "--no-remote"];

/** Of this file, or in a built one of what this is part of. */
function pathOf(name: string): string {
  return decodeURIComponent(new URL(name, import.meta.url).pathname);
}
