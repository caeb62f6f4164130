/** The file that users run, built once for a whole bench into a temporary directory that goes with this process. */

import { build } from "../build.ts";
import { ownTarget } from "../build/runtime.ts";

let built: Promise<string> | undefined;

/** Its path. Rejects where there is no file for this machine. */
export function builtFile(): Promise<string> {
  return built ??= make();
}

async function make(): Promise<string> {
  const target = ownTarget();
  if (target === undefined) throw new Error("holdfast is not built for this machine");
  const dir = await Deno.makeTempDir({ prefix: "holdfast-bench-" });
  addEventListener("unload", () => Deno.removeSync(dir, { recursive: true }));
  const path = `${dir}/holdfast`;
  await build(path, { target });
  return path;
}
