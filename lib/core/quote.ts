/** Quoting for a POSIX shell; the result also reads the same to csh and fish for words without newline or `!`. */

/** One word as the shell must see it to read exactly `word`. */
export function quoteWord(word: string): string {
  if (/^[A-Za-z0-9_\/.,:=@%+-]+$/.test(word)) return word;
  return `'${word.replaceAll("'", `'\\''`)}'`;
}

export function quoteWords(words: readonly string[]): string {
  return words.map(quoteWord).join(" ");
}
