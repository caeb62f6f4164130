/**
 * `holdfast disconnect`: close the connection to a target; commands that run there fail. Starts nothing, and a
 * connection that is not held is as good as closed.
 */
import { connectDaemon, sentEnvironment } from "../client/session.ts";
import type { JsonObject } from "../core/json.ts";
import { oneTarget } from "./one_target.ts";
import {
  COMMON_OPTIONS,
  type OptionTable,
  parseOptions,
  SSH_OPTIONS,
  sshOptions,
} from "./options.ts";

export const usage = "holdfast disconnect [options] TARGET";

export const options = { ...SSH_OPTIONS, ...COMMON_OPTIONS } satisfies OptionTable;

export async function run(args: string[]): Promise<number> {
  const { options: given, positionals } = await parseOptions(args, options);
  const target = oneTarget(positionals, { action: "disconnect", usage });
  await using session = await connectDaemon({ start: false });
  if (!session) {
    console.log("no daemon is running");
    return 0;
  }
  const { closed } = await session.daemon("connection", "disconnect", {
    target,
    ssh: sshOptions(given) as unknown as JsonObject,
    env: sentEnvironment(),
    cwd: Deno.cwd(),
  });
  const what = closed === 1 ? "the connection" : `${closed} connections`;
  console.log(closed === 0 ? `no connection to ${target} is held` : `closed ${what} to ${target}`);
  return 0;
}
