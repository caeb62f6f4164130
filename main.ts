/**
 * The holdfast executable: argv to a subcommand, its outcome to an exit status. The only place that
 * exits, and the only one that turns an error into text for the user. Kept thin: every invocation waits
 * for what is imported here.
 */

import { COMMANDS } from "./lib/cli/command_table.ts";
import { HoldfastError } from "./lib/core/errors.ts";

/** What a shell reports for a program ended by SIGPIPE. */
const BROKEN_PIPE_STATUS = 128 + 13;

/**
 * Runs one command line, given as the words after the executable's name. Resolves to the exit status,
 * whatever happens: errors are reported on stderr.
 */
export async function main(words: readonly string[]): Promise<number> {
  try {
    return await run(words);
  } catch (error) {
    return await report(error, { debug: wantsDebug(words) });
  }
}

async function run(words: readonly string[]): Promise<number> {
  const broken = words.find((word) => word.includes("\ufffd"));
  if (broken !== undefined) {
    // ssh has one status for all that goes wrong before the command.
    const kind = words[0] === "ssh" ? "io" : "usage";
    throw new HoldfastError(kind, `Cannot read argument "${broken}": it is not valid UTF-8`);
  }
  const [name, ...args] = words;
  if (name === undefined || !Object.hasOwn(COMMANDS, name)) {
    return await (await help()).answer(words);
  }
  try {
    return await (await COMMANDS[name].load()).run(args);
  } catch (error) {
    if (!(error instanceof Error) || error.name !== "HelpRequested") throw error;
    await (await help()).printCommandHelp(name);
    return 0;
  }
}

function help(): Promise<typeof import("./lib/cli/help.ts")> {
  return import("./lib/cli/help.ts" as string);
}

/**
 * Writes an error to stderr and resolves to the exit status it means: 2 for the user's words, 255 for
 * everything else, as ssh does. A broken pipe is nobody's mistake and makes no noise; a layer that writes
 * to anything but stdout and stderr wraps its own.
 */
export async function report(error: unknown, { debug }: { debug: boolean }): Promise<number> {
  if (error instanceof Deno.errors.BrokenPipe) return BROKEN_PIPE_STATUS;
  // A message may quote a remote host or an argument: nothing in it may drive the terminal.
  const { printable }: typeof import("./lib/core/printable.ts") = await import(
    "./lib/core/printable.ts" as string
  );
  const known = error instanceof HoldfastError;
  const message = error instanceof Error ? error.message || error.name : String(error);
  const prefix = known && error.kind !== "internal" ? "holdfast: " : "holdfast: internal error: ";
  complain(printable(prefix + message, { multiline: true }));
  if (debug) complain(printable(Deno.inspect(error), { multiline: true }));
  return known && error.kind === "usage" ? 2 : 255;
}

function complain(text: string): void {
  try {
    console.error(text);
  } catch {
    // A stderr that takes nothing must not keep us from ending.
  }
}

/** `--debug` anywhere but after `--`, where it belongs to the remote command; or HOLDFAST_DEBUG=1. */
function wantsDebug(words: readonly string[]): boolean {
  const end = words.indexOf("--");
  return (end < 0 ? words : words.slice(0, end)).includes("--debug") ||
    Deno.env.get("HOLDFAST_DEBUG") === "1";
}

if (import.meta.main) {
  const fail = async (event: Event, reason: unknown) => {
    event.preventDefault();
    Deno.exit(await report(reason, { debug: wantsDebug(Deno.args) }));
  };
  // The daemon looks after itself: one defect must not end all connections.
  if (Deno.args[0] !== "daemon") {
    addEventListener("unhandledrejection", (event) => fail(event, event.reason));
    addEventListener("error", (event) => fail(event, event.error));
  }
  Deno.exit(await main(Deno.args));
}
