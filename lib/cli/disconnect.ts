/**
 * `holdfast disconnect`: close the connection to a target; commands that run there fail. Starts nothing, and a
 * connection that is not held is as good as closed.
 */
import { connectDaemon, sentEnvironment } from "../client/session.ts";
import { HoldfastError } from "../core/errors.ts";
import type { JsonObject } from "../core/json.ts";
import { parseTarget } from "../rendezvous/target.ts";
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
  const [target, superfluous] = positionals;
  if (target === undefined || superfluous !== undefined) {
    const why = target === undefined ? "TARGET is missing" : "only one TARGET can be given";
    throw new HoldfastError("usage", `Cannot disconnect: ${why}; usage: ${usage}`);
  }
  parseTarget(target);
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
  if (closed === 0) console.log(`no connection to ${target} is held`);
  else {console.log(
      `closed ${closed === 1 ? "the connection" : `${closed} connections`} to ${target}`,
    );}
  return 0;
}
