/** `holdfast unprovision`: remove the runtime that a target was given, and end the connection that may run on it. */
import { connectDaemon, sentEnvironment } from "../client/session.ts";
import type { JsonObject } from "../core/json.ts";
import { printable } from "../core/printable.ts";
import { oneTarget } from "./one_target.ts";
import {
  COMMON_OPTIONS,
  type OptionTable,
  parseOptions,
  SSH_OPTIONS,
  sshOptions,
} from "./options.ts";

export const usage = "holdfast unprovision [options] TARGET";

export const options = { ...SSH_OPTIONS, ...COMMON_OPTIONS } satisfies OptionTable;

export async function run(args: string[]): Promise<number> {
  const { options: given, positionals } = await parseOptions(args, options);
  const target = oneTarget(positionals, { action: "unprovision", usage });
  await using session = await connectDaemon();
  const { removed } = await session.daemon("connection", "unprovision", {
    target,
    ssh: sshOptions(given) as unknown as JsonObject,
    env: sentEnvironment(),
    cwd: Deno.cwd(),
  });
  const paths = removed as string[];
  for (const path of paths) console.log(`removed ${printable(path)}`);
  if (paths.length === 0) console.log(`${target} was given nothing`);
  return 0;
}
