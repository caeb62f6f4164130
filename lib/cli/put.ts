/** `holdfast put`: copies files and trees to a target. */
import { HoldfastError } from "../core/errors.ts";
import { putFiles } from "../client/transfer.ts";
import {
  COMMON_OPTIONS,
  type OptionTable,
  parseOptions,
  SSH_OPTIONS,
  sshOptions,
} from "./options.ts";
import { stdinSource, TRANSFER_OPTIONS, withTransfer } from "./transfer_command.ts";

export const usage = "holdfast put [options] TARGET LOCAL... REMOTE";

export const options = {
  ...TRANSFER_OPTIONS,
  ...SSH_OPTIONS,
  ...COMMON_OPTIONS,
} satisfies OptionTable;

export async function run(args: string[]): Promise<number> {
  const { options: given, positionals } = await parseOptions(args, options);
  const [target, ...paths] = positionals;
  const destination = paths.pop();
  if (target === undefined || destination === undefined || paths.length === 0) {
    throw new HoldfastError("usage", `Cannot copy: TARGET, LOCAL and REMOTE are needed\n${usage}`);
  }
  if (paths.includes("-") && paths.length > 1) {
    throw new HoldfastError(
      "usage",
      "Cannot copy: standard input stands alone, as `put TARGET - REMOTE`",
    );
  }
  // Before anybody is asked for a password.
  for (const path of paths) if (path !== "-") await lookAt(path);
  return await withTransfer(
    { target, ssh: sshOptions(given), quiet: given.quiet },
    (session, events) => {
      const sources = paths.map((path) => path === "-" ? stdinSource() : path);
      return putFiles(session.router, session.context, { sources, destination, ...events });
    },
  );
}

async function lookAt(path: string): Promise<void> {
  const { attempt } = await import("../core/os_error.ts");
  await attempt(`copy ${JSON.stringify(path)}`, () => Deno.lstat(path));
}
