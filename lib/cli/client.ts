/** `holdfast client`: the relay. Carries out actions read from standard input, one a line. */
import { HoldfastError } from "../core/errors.ts";
import { relay } from "../client/relay.ts";
import {
  COMMON_OPTIONS,
  JSON_OPTION,
  type OptionTable,
  parseOptions,
  SSH_OPTIONS,
  sshOptions,
} from "./options.ts";
import { stdinSource } from "./transfer_command.ts";

export const usage = "holdfast client [options] [TARGET]";

export const options = {
  keepGoing: { long: "keep-going", short: "k", help: "go on after an action that failed" },
  json: { ...JSON_OPTION.json, help: "answer each action with one JSON line" },
  ...SSH_OPTIONS,
  ...COMMON_OPTIONS,
} satisfies OptionTable;

const SIGNALS = { SIGINT: 2, SIGTERM: 15, SIGHUP: 1 } as const;

/** A signal gives up the action under way; what it left unfinished is removed before the status is ours. */
export async function run(args: string[]): Promise<number> {
  const { options: given, positionals } = await parseOptions(args, options);
  if (positionals.length > 1) {
    throw new HoldfastError(
      "usage",
      `Cannot run: there is more than one TARGET; actions are read from standard input\n${usage}`,
    );
  }
  const input = stdinSource();
  const controller = new AbortController();
  let status = 0;
  for (const [name, number] of Object.entries(SIGNALS)) {
    Deno.addSignalListener(name as Deno.Signal, () => {
      status = 128 + number;
      controller.abort(new HoldfastError("cancelled", `ended by ${name}`));
      input.cancel();
    });
  }
  try {
    const { json, keepGoing } = given;
    const [target] = positionals;
    const { signal } = controller;
    return await relay({ input, target, ssh: sshOptions(given), keepGoing, json, signal });
  } catch (error) {
    if (status > 0) return status;
    throw error;
  }
}
