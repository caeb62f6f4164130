/** How to start this program again: as the daemon, in the background, as another program's helper. */
import { buildInfo } from "./build_info.ts";

/** The words that run a subcommand, its name included, of this source tree or built file; `engineFlags` are V8's. */
export function selfCommand(
  subcommand: string,
  { engineFlags = [] }: { engineFlags?: string[] } = {},
): string[] {
  if (buildInfo()?.compiled) return [Deno.execPath(), subcommand];
  const engine = engineFlags.length > 0 ? [`--v8-flags=${engineFlags.join(",")}`] : [];
  const allowed = [Deno.execPath(), "run", "--allow-all", "--quiet", ...engine];
  // Each subcommand is a part of its own there, see `scripts/build/parts.ts`.
  const program = buildInfo()
    ? [...SELF_CONTAINED, pathOf(`${subcommand}.mjs`)]
    : [`--config=${pathOf("../../deno.json")}`, pathOf("../../main.ts")];
  return [...allowed, ...program, subcommand];
}

/** For Deno: nothing is looked for that is not in the file. `scripts/build/head.sh` has the same. */
export const SELF_CONTAINED = ["--no-config", "--no-lock", "--no-npm", "--no-remote"];

/** Of this file, or in a built one of what this is part of. */
function pathOf(name: string): string {
  return decodeURIComponent(new URL(name, import.meta.url).pathname);
}
