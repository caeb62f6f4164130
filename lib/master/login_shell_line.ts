/** Exact words as one line for a login shell of any kind, as sshd hands it over. Used by `direct_host.ts`. */
import { quoteWords } from "../core/quote.ts";

/** What one shell or another reads in single quotes, too: csh `!` and a newline, fish a backslash. */
const READ_IN_QUOTES = /['\\!\n]/;

/**
 * The words take the shell's place. What not every shell leaves alone goes to `sh` in octal; that one reads the words
 * as they were quoted for it.
 */
export function loginShellLine(words: readonly string[]): string {
  const line = `exec ${quoteWords(words)}`;
  if (!words.some((word) => READ_IN_QUOTES.test(word))) return line;
  const octal = line.replace(
    new RegExp(READ_IN_QUOTES, "g"),
    (character) => `\\0${character.charCodeAt(0).toString(8).padStart(3, "0")}`,
  );
  return `exec sh -c 'eval "$(printf %b "$0")"' '${octal}'`;
}
