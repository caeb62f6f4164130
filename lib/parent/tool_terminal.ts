/** A controlling terminal for a connection method's tool, from `script` (util-linux's or busybox's). */
import { quoteWord } from "../core/quote.ts";

/** Its exit status when there is no `script`. */
export const NO_SCRIPT = 119;

/**
 * The words that run `words` with a terminal. What the tool says there arrives on our stderr; our stdin and stdout
 * stay pipes and become the tool's (`stdin`, `terminal`), or its descriptors 3 and 4 (`both`). Unless it reads from
 * `stdin`, our lines are typed on its terminal up to and including the one that is `last`.
 */
export function toolTerminal(
  words: readonly string[],
  { reads, last }: { reads: "stdin" | "terminal" | "both"; last: string },
): string[] {
  const pipes = reads === "both" ? "" : " <&3 >&4 3<&- 4>&-";
  // Nothing that is typed may be shown, whenever the tool comes to turn that off itself.
  const command = `stty -echo||exit 1;exec ${words.map(quoteWord).join(" ")}${pipes}`;
  const run = `script -qfc "$0" /dev/null`;
  return [
    "sh",
    "-c",
    `command -v script >/dev/null||exit ${NO_SCRIPT};exec 3<&0 4>&1;` +
    (reads === "stdin"
      ? `exec ${run} </dev/null >&2`
      // The relay would wait for a line that never comes when the tool has ended.
      : `while IFS= read -r l;do printf "%s\\n" "$l";[ "$l" != ${last} ]||break;done|{ ${run} >&2;kill 0;}`),
    command,
  ];
}
