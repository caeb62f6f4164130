/**
 * Brings the built file to a context whose hop lacks a runtime: from the nearest context above that has it, so that one
 * copy goes over the first link for all that is behind it. For `hop_connection.ts`.
 */
import { denoHost } from "../files/host_deno.ts";
import { giveFile } from "../parent/give_file.ts";
import type { BuiltFiles } from "./built_files.ts";
import type { Connection } from "./connection.ts";
import { HostConnection } from "./host_connection.ts";
import type { Log } from "./log.ts";
import type { Tree } from "./tree.ts";

/** Resolves with the path of the built file for `target` in the context of `connection`. */
export async function bringPayload(
  connection: Connection,
  options: { target: string; tree: Tree; files: BuiltFiles; log: Log },
): Promise<string> {
  const { target, tree, files, log } = options;
  const context = await connection.open("hop");
  await tree.require(context, "provision");
  const found = await tree.router.call(context, {
    service: "provision",
    method: "find",
    args: { target },
  });
  if (typeof found === "string") return found;
  const { above } = connection;
  if (above === null || connection instanceof HostConnection) {
    const file = await files.find(target);
    log("info", `${connection.target}: sending ${file.path} for what is behind it`);
    return await giveFile({ router: tree.router, to: context }, { host: denoHost, file });
  }
  await bringPayload(above, options);
  const from = await above.open("hop");
  log("info", `${connection.target}: the built file comes from ${above.target}`);
  const give = { service: "provision", method: "give", args: { to: context, target } };
  return String(await tree.router.call(from, give));
}
