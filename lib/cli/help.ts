/**
 * Help and version, generated from the command table and the option tables, so that help cannot
 * disagree with the parser. Loaded by `main.ts` for every first word that is no subcommand.
 */

import { HoldfastError } from "../core/errors.ts";
import { PROTOCOL_VERSION } from "../core/constants.ts";
import { buildInfo } from "../rendezvous/build_info.ts";
import { VERSION } from "../rendezvous/version.ts";
import { type CommandModule, COMMANDS } from "./command_table.ts";
import { nearest } from "../rendezvous/nearest.ts";
import type { OptionSpec } from "./options.ts";

/**
 * Answers a command line without a subcommand: `help [COMMAND]`, `--help`, `-h`, `--version`, nothing.
 * Resolves to the exit status.
 *
 * @throws {HoldfastError} `usage` for a first word that means nothing, with the nearest one that does
 */
export async function answer(words: readonly string[]): Promise<number> {
  const [word, topic] = words;
  if (word === undefined) {
    console.error(overview());
    return 2;
  }
  if (word === "--version") console.log(version());
  else if (word !== "help" && word !== "--help" && word !== "-h") throw await unknownWord(word);
  else if (topic === undefined || topic.startsWith("-")) console.log(overview());
  else await printCommandHelp(topic);
  return 0;
}

/** Release, what it was made from, and what it speaks and runs on. */
function version(): string {
  const build = buildInfo();
  const origin = build
    ? `commit ${build.commit}, core ${build.coreHash.slice(0, 12)}`
    : "source tree";
  return `holdfast ${VERSION} (${origin}, protocol ${PROTOCOL_VERSION}, deno ${Deno.version.deno})`;
}

/** Prints what `holdfast NAME --help` prints. */
export async function printCommandHelp(name: string): Promise<void> {
  if (!Object.hasOwn(COMMANDS, name)) throw await unknownWord(name);
  const { summary, load } = COMMANDS[name];
  console.log(commandHelp(summary, await load()));
}

/** The text of one subcommand: how it is called, what it does, its options. */
export function commandHelp(
  summary: string,
  { usage, options }: Pick<CommandModule, "usage" | "options">,
): string {
  const rows = Object.values(options).map((spec) => [optionForms(spec), helpLine(spec)] as const);
  const sections = [`Usage: ${usage.trim().replaceAll(/\n\s*/g, "\n       ")}`, sentence(summary)];
  if (rows.length > 0) sections.push(`Options:\n${columns(rows)}`);
  return sections.join("\n\n");
}

/** The text of `holdfast help`. */
function overview(): string {
  const rows = Object.entries(COMMANDS).filter(([, { hidden }]) => !hidden)
    .map(([name, { summary }]) => [name, summary] as const);
  return `Usage: holdfast COMMAND [options] ...

Keep connections to machines open and use them from any program.

Commands:
${columns(rows)}

holdfast help COMMAND tells more about one; holdfast --version prints the version.`;
}

async function unknownWord(word: string): Promise<HoldfastError> {
  const option = word.startsWith("-");
  const known = option ? ["--help", "--version"] : [...Object.keys(COMMANDS), "help"];
  const near = await nearest(word, known);
  const why = option
    ? `Cannot read option ${quote(word)}: no such option stands before the command`
    : `Cannot read command ${quote(word)}: holdfast has no command of that name`;
  const advice = near === undefined
    ? "holdfast help lists what there is"
    : `did you mean "${near}"?`;
  return new HoldfastError("usage", `${why}; ${advice}`);
}

/** `-h, --help`, `-p PORT`, `    --env K=V`: long names stand below each other. */
function optionForms({ short, long, value }: OptionSpec): string {
  const forms = [short === undefined ? "  " : `-${short}`];
  if (long !== undefined) forms.push(`--${long}`);
  const names = forms.join(short === undefined ? "  " : ", ");
  return value === undefined ? names : `${names} ${value}`;
}

function helpLine({ help, repeatable, value }: OptionSpec): string {
  return repeatable && value !== undefined ? `${help} (repeatable)` : help;
}

function columns(rows: readonly (readonly [string, string])[]): string {
  const width = Math.max(...rows.map(([left]) => left.length));
  return rows.map(([left, right]) => `  ${left.padEnd(width)}  ${right}`).join("\n");
}

function sentence(text: string): string {
  return text[0].toUpperCase() + text.slice(1) + ".";
}

function quote(text: string): string {
  return JSON.stringify(text.length > 120 ? text.slice(0, 120) + "…" : text);
}
