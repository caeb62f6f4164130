/** `holdfast completions`: print what makes a shell complete our command lines; `install` writes the same. */
import { HoldfastError } from "../core/errors.ts";
import { VERSION } from "../rendezvous/version.ts";
import { bashCompletions } from "./bash_completions.ts";
import { completedCommands } from "./completion_words.ts";
import { fishCompletions } from "./fish_completions.ts";
import { COMMON_OPTIONS, type OptionTable, parseOptions } from "./options.ts";
import { zshCompletions } from "./zsh_completions.ts";

export const usage = "holdfast completions bash|zsh|fish";

export const options = { ...COMMON_OPTIONS } satisfies OptionTable;

const WRITERS = { bash: bashCompletions, zsh: zshCompletions, fish: fishCompletions };

export type Shell = keyof typeof WRITERS;

export const SHELLS = Object.keys(WRITERS) as Shell[];

/** The script for a shell, to be sourced or put where the shell looks for it. */
export async function completionScript(shell: Shell): Promise<string> {
  const script = WRITERS[shell](await completedCommands());
  const note =
    `Completions of holdfast ${VERSION} for ${shell}, made by: holdfast completions ${shell}`;
  // zsh takes the file only when this is its first line.
  const mark = shell === "zsh" ? "#compdef holdfast\n" : "";
  return `${mark}# ${note}\n${script}`;
}

export async function run(args: string[]): Promise<number> {
  const { positionals: [shell, superfluous] } = await parseOptions(args, options);
  if (shell === undefined || superfluous !== undefined || !Object.hasOwn(WRITERS, shell)) {
    const why = shell === undefined || superfluous !== undefined
      ? "the name of one shell is needed"
      : `there are none for ${JSON.stringify(shell)}`;
    throw new HoldfastError("usage", `Cannot print completions: ${why}; usage: ${usage}`);
  }
  await Deno.stdout.write(new TextEncoder().encode(await completionScript(shell as Shell)));
  return 0;
}
