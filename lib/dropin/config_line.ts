/** One line of ssh_config, as `-o` takes it: its keyword and arguments, split and unquoted as ssh does. Pure. */

export interface ConfigLine {
  /** In lower case. */
  keyword: string;
  arguments: string[];
  /** Everything behind the keyword, as it stands. */
  rest: string;
}

/** Null for a blank line or a comment. A keyword alone has no arguments. */
export function readConfigLine(line: string): ConfigLine | null {
  const text = line.trim();
  if (text === "" || text.startsWith("#")) return null;
  const [, keyword, rest] = /^([^\s="]*)[\s]*=?\s*([^]*)$/.exec(text)!;
  return { keyword: keyword.toLowerCase(), arguments: splitArguments(rest), rest };
}

/** Quotes of either kind group, a backslash makes a quote, a backslash or a blank literal, `#` begins a comment. */
function splitArguments(text: string): string[] {
  const found: string[] = [];
  let word: string | null = null;
  let quote = "";
  for (let at = 0; at < text.length; at++) {
    const character = text[at];
    const next = text[at + 1];
    if (character === "\\" && (/["'\\]/.test(next ?? "") || (quote === "" && next === " "))) {
      word = (word ?? "") + next;
      at++;
    } else if (quote !== "") {
      if (character === quote) quote = "";
      else word += character;
    } else if (character === '"' || character === "'") {
      quote = character;
      word ??= "";
    } else if (character === " " || character === "\t") {
      if (word !== null) found.push(word);
      word = null;
    } else if (character === "#" && word === null) break;
    else word = (word ?? "") + character;
  }
  if (word !== null) found.push(word);
  return found;
}
