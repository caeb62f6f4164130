/** A controlling terminal for a connection method's tool, from `script` (util-linux's or busybox's). */
import { quoteWord } from "../core/quote.ts";

/** Its exit status when there is no `script`. */
export const NO_SCRIPT = 119;

/**
 * The words that run `words` with a terminal. What the tool says there arrives on our stderr; our three streams stay
 * pipes: stderr is the tool's, and stdin and stdout are, too (`stdin`, `terminal`), or are its descriptors 3 and 4
 * (`both`). Unless it reads from `stdin`, our lines are typed on its terminal up to and including the one that is
 * `last`. The status is the tool's, 128 and more for a signal.
 */
export function toolTerminal(
  words: readonly string[],
  { reads, last }: { reads: "stdin" | "terminal" | "both"; last: string },
): string[] {
  const pipes = reads === "both" ? "" : "<&3 >&4 3<&- 4>&- ";
  // Nothing that is typed may be shown, whenever the tool comes to turn that off itself.
  const command = `stty -echo||exit 1;${words.map(quoteWord).join(" ")} ${pipes}2>&5 5>&- 6>&-;` +
    "echo $? >&6";
  const run = `s=$(script -qfc "$0" /dev/null 6>&1 >&2)`;
  return [
    "sh",
    "-c",
    `command -v script >/dev/null||exit ${NO_SCRIPT};exec 3<&0 4>&1 5>&2;` +
    (reads === "stdin"
      ? `exec </dev/null;${run};exit "\${s:-1}"`
      // The relay would wait for a line that never comes when the tool has ended: all but we two are ended.
      : `trap : TERM;while IFS= read -r l;do printf "%s\\n" "$l";[ "$l" != ${last} ]||break;done|` +
        `{ ${run};trap "" TERM;kill 0;exit "\${s:-1}";}`),
    command,
  ];
}
