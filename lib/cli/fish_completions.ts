/** Completions for fish. For `completions.ts`. */

import { methodWords } from "../rendezvous/target.ts";
import text from "./completions.fish" with { type: "text" };
import type { CompletedCommand, CompletedOption, Place } from "./completion_words.ts";
import { fillIn, LIST_HOSTS } from "./target_words.ts";

export function fishCompletions(commands: CompletedCommand[]): string {
  return fillIn(text, {
    HOSTS: LIST_HOSTS,
    METHODS: methodWords().join(" "),
    VALUED: commands.map(valuedCase).join("\n"),
    COMMANDS: commands.map(linesOf).join("\n"),
  });
}

/** More words than a command line has. */
const ENDLESS = 99999;

function valuedCase({ name, options }: CompletedCommand): string {
  const forms = options.filter(({ value }) => value !== undefined).flatMap(({ long, short }) => [
    ...long === undefined ? [] : [`--${long}`],
    ...short === undefined ? [] : [`-${short}`],
  ]);
  return `  case ${name}\n    set valued ${forms.join(" ")}`;
}

function linesOf({ name, summary, options, places }: CompletedCommand): string {
  const other = places.findIndex(({ kind }) => kind === "other");
  const mayHaveOptions = `__holdfast_at ${name} 0 ${other < 0 ? ENDLESS : other - 1}`;
  return [
    `complete -c holdfast -n __holdfast_begins -a ${name} -d ${quote(summary)}`,
    ...options.map((option) =>
      `complete -c holdfast -n '${mayHaveOptions}' ${optionWords(option)}`
    ),
    ...places.flatMap((place, at) => {
      const words = placeWords(place);
      const last = place.repeats ? ENDLESS : at;
      return words === ""
        ? []
        : [`complete -c holdfast -n '__holdfast_at ${name} ${at} ${last}' ${words}`];
    }),
  ].join("\n");
}

function optionWords({ short, long, help, value }: CompletedOption): string {
  return [
    ...short === undefined ? [] : [`-s ${short}`],
    ...long === undefined ? [] : [`-l ${long}`],
    ...value === undefined ? [] : ["-r", placeWords(value)],
    ...help === "" ? [] : [`-d ${quote(help)}`],
  ].filter((word) => word !== "").join(" ");
}

function placeWords({ kind, choices }: Place): string {
  switch (kind) {
    case "target":
      return "-a '(__holdfast_targets)'";
    case "file":
      return "-F";
    case "directory":
      return "-a '(__fish_complete_directories (commandline -ct))'";
    case "choices":
      return `-a ${quote(choices.join(" "))}`;
    default:
      return "";
  }
}

function quote(text: string): string {
  return `'${text.replaceAll(/['\\]/g, "\\$&")}'`;
}
