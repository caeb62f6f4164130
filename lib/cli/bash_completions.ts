/** Completions for bash, 3.2 and later, with or without the package bash-completion. For `completions.ts`. */

import { methodWords } from "../rendezvous/target.ts";
import text from "./completions.bash" with { type: "text" };
import type { CompletedCommand, CompletedOption, Place } from "./completion_words.ts";
import { fillIn, LIST_HOSTS } from "./target_words.ts";

export function bashCompletions(commands: CompletedCommand[]): string {
  return fillIn(text, {
    HOSTS: LIST_HOSTS,
    METHODS: methodWords().join(" "),
    NAMES: commands.map(({ name }) => name).join(","),
    COMMANDS: commands.map(caseOf).join("\n"),
  });
}

function caseOf({ name, options, places }: CompletedCommand): string {
  const forms = options.flatMap(formsOf);
  const valued = options.flatMap((option) =>
    option.value ? formsOf(option).map((form) => `${form}:${kindWord(option.value!)}`) : []
  );
  const kinds = places.map((place) => (place.repeats ? "+" : "") + kindWord(place));
  const words = (list: string[]) => `'${list.join(" ")}'`;
  return `  ${name}) options=${words(forms)} valued=${words(valued)} places=${words(kinds)} ;;`;
}

function formsOf({ long, short }: CompletedOption): string[] {
  return [...long === undefined ? [] : [`--${long}`], ...short === undefined ? [] : [`-${short}`]];
}

function kindWord({ kind, choices }: Place): string {
  return kind === "choices" ? `choices=${choices.join(",")}` : kind;
}
