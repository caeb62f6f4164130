/** `holdfast exec`: run a command on a target; stdin, stdout, stderr and the exit status pass through. */
import { HoldfastError } from "../core/errors.ts";
import { type ExecRequest, execute } from "../client/execute.ts";
import {
  assignment,
  COMMON_OPTIONS,
  JSON_OPTION,
  type OptionTable,
  parseOptions,
  SSH_OPTIONS,
  sshOptions,
  TIMEOUT_OPTION,
} from "./options.ts";

export const usage = "holdfast exec [options] TARGET [--] COMMAND...";

export const options = {
  env: {
    long: "env",
    value: "NAME=VALUE",
    repeatable: true,
    parse: assignment,
    help: "set a variable for the command",
  },
  cwd: { long: "cwd", value: "DIR", help: "run it in this directory instead of the home" },
  argv: { long: "argv", help: "run COMMAND's words exactly, without a shell" },
  noInput: { short: "n", help: "give it no standard input" },
  terminal: { short: "t", repeatable: true, help: "give it a terminal" },
  withSsh: {
    long: "with-ssh",
    value: "TARGET",
    repeatable: true,
    help: "let it call ssh, to reach this target by this name",
  },
  leave: { long: "leave", help: "let it go on when this client goes away" },
  ...TIMEOUT_OPTION,
  ...JSON_OPTION,
  ...SSH_OPTIONS,
  ...COMMON_OPTIONS,
} satisfies OptionTable;

export async function run(args: string[]): Promise<number> {
  const { options: given, positionals } = await parseOptions(args, options, {
    stopAtFirstPositional: true,
  });
  const [target, ...words] = positionals;
  if (target === undefined || words.length === 0) {
    const missing = target === undefined ? "TARGET" : "COMMAND";
    throw new HoldfastError("usage", `Cannot run: ${missing} is missing; usage: ${usage}`);
  }
  const request: ExecRequest = {
    target,
    command: given.argv ? words : words.join(" "),
    env: Object.fromEntries(given.env),
    cwd: given.cwd,
    input: !given.noInput,
    leave: given.leave,
    timeout: given.timeout,
    ssh: sshOptions(given),
  };
  if (given.withSsh.length > 0) {
    const { execWithSsh }: typeof import("./exec_with_ssh.ts") = await import(
      "./exec_with_ssh.ts" as string
    );
    const run = (changed: ExecRequest) => carryOut(changed, given);
    return await execWithSsh(request, { allowed: given.withSsh, run });
  }
  return await carryOut(request, given);
}

async function carryOut(
  request: ExecRequest,
  given: { terminal: number; json: boolean },
): Promise<number> {
  if (given.terminal > 0) {
    const { executeTerminal, wantsTerminal }: typeof import("../client/execute_terminal.ts") =
      await import("../client/execute_terminal.ts" as string);
    if (wantsTerminal(given.terminal, request)) return await executeTerminal(request);
  }
  if (given.json) {
    const { executeJson }: typeof import("../client/execute_json.ts") = await import(
      "../client/execute_json.ts" as string
    );
    return await executeJson(request);
  }
  return await execute(request);
}
