/** Completions for zsh: a function `_holdfast` for `compdef`, whether autoloaded or sourced. For `completions.ts`. */

import { methodWords } from "../rendezvous/target.ts";
import text from "./completions.zsh" with { type: "text" };
import type { CompletedCommand, CompletedOption, Place } from "./completion_words.ts";
import { fillIn, LIST_HOSTS } from "./target_words.ts";

export function zshCompletions(commands: CompletedCommand[]): string {
  return fillIn(text, {
    HOSTS: LIST_HOSTS,
    METHODS: methodWords().join(" "),
    NAMES: commands.map(({ name, summary }) => `      ${quote(`${name}:${summary}`)}`).join("\n"),
    COMMANDS: commands.map(caseOf).join("\n"),
  });
}

function caseOf({ name, options, places }: CompletedCommand): string {
  const specs = [
    ...options.map(optionSpec),
    ...places.map((place, at) => quote(placeSpec(place, String(at + 1)))),
  ];
  return `  ${name})\n    _arguments -s -S : ${
    specs.map((spec) => `\\\n      ${spec}`).join(" ")
  }\n    ;;`;
}

/** `'*-i+[help]:FILE:_files'`; with two names both, each without the other. */
function optionSpec({ short, long, help, value, repeatable }: CompletedOption): string {
  const text = `[${help.replaceAll(/[\][:]/g, "\\$&")}]` +
    (value === undefined ? "" : `:${escape(value.name)}:${action(value)}`);
  const names = [
    ...short === undefined ? [] : [`-${short}${value ? "+" : ""}`],
    ...long === undefined ? [] : [`--${long}${value ? "=" : ""}`],
  ];
  if (repeatable) return names.map((name) => quote(`*${name}${text}`)).join(" ");
  if (names.length === 1) return quote(names[0] + text);
  return names.map((name) => quote(`(-${short} --${long})${name}${text}`)).join(" ");
}

/** Behind a word that begins another program's command line, nothing is ours. */
function placeSpec(place: Place, at: string): string {
  const words = `${escape(place.name)}:${action(place)}`;
  if (place.kind === "other") return `(-)*:::${words}`;
  return `${place.repeats ? "*" : at}:${words}`;
}

function action({ kind, choices }: Place): string {
  switch (kind) {
    case "target":
      return "_holdfast_target";
    case "file":
      return "_files";
    case "directory":
      return "_files -/";
    case "choices":
      return `(${choices.join(" ")})`;
    default:
      return " ";
  }
}

function escape(name: string): string {
  return name.replaceAll(":", "\\:");
}

function quote(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}
