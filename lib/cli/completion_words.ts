/**
 * What can be completed on a command line of ours: read from the command table, the option tables and the usage lines,
 * so that it cannot disagree with them. For the files that write it in a shell's language.
 */

import { COMMANDS } from "./command_table.ts";
import type { OptionSpec } from "./options.ts";

/**
 * What may stand in a place.
 * - `target`, `file`, `directory`: those there are
 * - `choices`: one of some words
 * - `other`: another program's command line; no options of ours come after it
 * - `text`: anything
 */
export type Kind = "target" | "file" | "directory" | "choices" | "other" | "text";

export interface Place {
  kind: Kind;
  /** As the usage or the option's help calls it. */
  name: string;
  /** With `choices`. */
  choices: string[];
  /** What comes after it is of its kind, too. */
  repeats: boolean;
}

export interface CompletedOption {
  short?: string;
  long?: string;
  help: string;
  repeatable: boolean;
  /** Absent: a flag. */
  value?: Place;
}

export interface CompletedCommand {
  name: string;
  summary: string;
  options: CompletedOption[];
  /** Of its words that are no options, in order. */
  places: Place[];
}

/** Every subcommand that the overview shows, and `help`. */
export async function completedCommands(): Promise<CompletedCommand[]> {
  const shown = Object.entries(COMMANDS).filter(([, { hidden }]) => !hidden);
  const commands = await Promise.all(shown.map(async ([name, { summary, load }]) => {
    const { usage, options, ownOptions } = await load();
    const specs = ownOptions ? await ownOptions() : Object.values(options);
    return { name, summary, options: specs.map(completedOption), places: readPlaces(usage) };
  }));
  const names = commands.map(({ name }) => name).join("|");
  const help = { name: "help", summary: "tell more about a command", options: [] };
  return [...commands, { ...help, places: [readPlace(names)] }];
}

/** What may stand where a usage line has this word: a name in capitals, or what is to be written itself. */
function readPlace(word: string): Place {
  const name = word.replace(/\.{3}$/, "");
  const choices = /^[a-z-]+(\|[a-z-]+)*$/.test(name) ? name.split("|") : [];
  return { kind: kindOf(name, choices), name, choices, repeats: name !== word };
}

function kindOf(name: string, choices: string[]): Kind {
  if (/^(TARGET|DEST|HOST)$/.test(name)) return "target";
  if (/^(LOCAL|FILE)$/.test(name)) return "file";
  if (/^DIR(ECTORY)?$/.test(name)) return "directory";
  if (name === "COMMAND") return "other";
  return choices.length > 0 ? "choices" : "text";
}

/** `holdfast put [options] TARGET LOCAL... REMOTE`: the words after the subcommand, less the options. */
function readPlaces(usage: string): Place[] {
  const [, , ...words] = usage.split("\n")[0].split(/\s+/);
  const text = words.join(" ").replace(/\[[^\]]*options\]/, "").replaceAll(/\[-[^\]]*\]/g, "");
  const places = text.split(/\s+/).filter((word) => word !== "")
    .map((word) => readPlace(word.replaceAll(/[[\]]/g, "")));
  const first = places.findIndex(({ repeats }) => repeats);
  if (first < 0) return places;
  // Behind one that repeats nobody knows which is which: then it is a file if it may be one.
  const behind = places.slice(first).find(({ kind }) => kind !== "text") ?? places[first];
  if (behind === places[first]) return places.slice(0, first + 1);
  return [...places.slice(0, first), { ...places[first], repeats: false }, {
    ...behind,
    repeats: true,
  }];
}

function completedOption(spec: OptionSpec): CompletedOption {
  const { short, long, help, value, repeatable = false } = spec;
  if (value === undefined) return { short, long, help, repeatable };
  const place = readPlace(value);
  // A command as a value is one word.
  const kind = place.kind === "other" ? "text" : place.kind;
  return { short, long, help, repeatable, value: { ...place, kind } };
}
