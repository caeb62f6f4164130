/**
 * A line of ssh's own arguments, as Ansible keeps them (`ansible_ssh_common_args`, an init block's `ssh_args`).
 * For the client's init block and the daemon's inventories. No error here quotes the line.
 */
import { splitWords } from "./action.ts";
import type { SshOptions } from "./ssh_options.ts";

/** ssh's options that mean something here, by their letter. */
const SSH_LETTERS: Record<string, (value: string) => SshOptions> = {
  F: (configFile) => ({ configFile }),
  i: (key) => ({ identityFiles: [key] }),
  J: (jump) => ({ jump }),
  l: (user) => ({ user }),
  o: (option) => ({ options: [option] }),
  p: (port) => ({ options: [`Port=${port}`] }),
};

/** Options of ssh that the daemon has no use for: it shares connections and compresses in its own way. */
const NEEDLESS = /^-[CqTvxakn]+$/;
const NEEDLESS_KEYWORDS = /^\s*Control(?:Master|Persist|Path)\b/i;

/**
 * Reads them; what is needless here is left out.
 *
 * @throws {RangeError} saying what is neither understood nor needless, to be put after the name of the field
 */
export function readSshArguments(line: string): SshOptions {
  const found: SshOptions[] = [];
  let words: string[] = [];
  try {
    words = splitWords(line);
  } catch {
    throw new RangeError("has a quote that is not closed");
  }
  for (let word = words.shift(); word !== undefined; word = words.shift()) {
    if (NEEDLESS.test(word)) continue;
    const letter = word[1] ?? "";
    const value = word.slice(2) || words.shift();
    if (word[0] !== "-" || !Object.hasOwn(SSH_LETTERS, letter) || value === undefined) {
      const known = Object.keys(SSH_LETTERS).map((name) => `-${name}`).join(" ");
      throw new RangeError(`has something other than ${known} with their values`);
    }
    if (letter !== "o" || !NEEDLESS_KEYWORDS.test(value)) found.push(SSH_LETTERS[letter](value));
  }
  return {
    ...Object.assign({}, ...found.toReversed()), // the first wins, as in ssh
    identityFiles: found.flatMap(({ identityFiles = [] }) => identityFiles),
    options: found.flatMap(({ options = [] }) => options),
  };
}
