/** The built file, made once for all tests of a file; it goes with this process's temporary directory. */

import { build } from "../../scripts/build.ts";
import { ownTarget } from "../../scripts/build/runtime.ts";
import { tempBase } from "./temp.ts";

let made: Promise<string> | undefined;

/** Its path, alone in a directory. */
export function builtFile(): Promise<string> {
  return made ??= (async () => {
    const path = `${await Deno.makeTempDir({ dir: tempBase() })}/holdfast`;
    await build(path, { target: ownTarget()! });
    return path;
  })();
}
