/** `holdfast fetch`: copies files and trees from a target. */
import { HoldfastError } from "../core/errors.ts";
import { fetchFiles } from "../client/transfer.ts";
import {
  COMMON_OPTIONS,
  type OptionTable,
  parseOptions,
  SSH_OPTIONS,
  sshOptions,
} from "./options.ts";
import { stdoutSink, TRANSFER_OPTIONS, withTransfer } from "./transfer_command.ts";

export const usage = "holdfast fetch [options] TARGET REMOTE... LOCAL";

export const options = {
  ...TRANSFER_OPTIONS,
  ...SSH_OPTIONS,
  ...COMMON_OPTIONS,
} satisfies OptionTable;

export async function run(args: string[]): Promise<number> {
  const { options: given, positionals } = await parseOptions(args, options);
  const [target, ...sources] = positionals;
  const local = sources.pop();
  if (target === undefined || local === undefined || sources.length === 0) {
    throw new HoldfastError("usage", `Cannot copy: TARGET, REMOTE and LOCAL are needed\n${usage}`);
  }
  if (local === "-" && sources.length > 1) {
    throw new HoldfastError("usage", "Cannot write to standard output: it is not one file");
  }
  return await withTransfer(
    { target, ssh: sshOptions(given), quiet: given.quiet },
    (session, events) => {
      const destination = local === "-" ? stdoutSink() : local;
      return fetchFiles(session.router, session.context, { sources, destination, ...events });
    },
  );
}
