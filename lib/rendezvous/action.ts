/**
 * One action of the relay: `EXEC: command`, `PUT: src dst` or `FETCH: src dst`. Pure text to data, for
 * `holdfast client`'s lines and for the length frames on the daemon's socket.
 */
import { HoldfastError } from "../core/errors.ts";
import { LIMITS } from "../core/limits.ts";

export type Action =
  /** A line for the login shell, exactly as it was written. */
  | { type: "exec"; command: string }
  /** From here to the target; relative remote paths are relative to the home. */
  | { type: "put"; source: string; destination: string }
  /** From the target to here. */
  | { type: "fetch"; source: string; destination: string };

const FORMS = "EXEC: COMMAND, PUT: SRC DST or FETCH: SRC DST";

/** What a command may take of the frame that carries it, as JSON, in bytes; the rest is for its other fields. */
const MAX_COMMAND = LIMITS.framePayload - 64 * 1024;

/**
 * Reads one action; blanks before it are skipped. Nothing of the line is quoted in the error, because a line
 * that is no action may be anything, a secret too.
 *
 * @throws {HoldfastError} `usage`, saying only what is wrong: the caller adds where the text stands
 */
export function parseAction(line: string): Action {
  const match = /^\s*(EXEC|PUT|FETCH):(?: ([^]*))?$/.exec(line);
  if (!match) throw unreadable(`it is none of ${FORMS}`);
  const [, verb, rest = ""] = match;
  if (rest.includes("\0")) throw unreadable(`a NUL byte cannot be part of a command or a path`);
  if (verb === "EXEC") {
    if (rest.trim() === "") throw unreadable("the command is missing; write EXEC: COMMAND");
    if (new TextEncoder().encode(JSON.stringify(rest)).length > MAX_COMMAND) {
      throw unreadable("the command is too long; put it into a file");
    }
    return { type: "exec", command: rest };
  }
  const words = splitWords(rest);
  if (words.length !== 2) {
    throw unreadable(
      `${verb} takes 2 paths, not ${words.length}; write ${verb}: SRC DST, with names quoted as in a shell`,
    );
  }
  const [source, destination] = words;
  if (source === "") throw unreadable("the path to copy from is empty");
  return { type: verb === "PUT" ? "put" : "fetch", source, destination };
}

/** Characters that a backslash makes literal inside double quotes; before others it stays. */
const ESCAPED_IN_QUOTES = '"\\$`\n';

/**
 * Splits text into words as a POSIX shell does with its quotes and backslashes, and nothing more: no
 * variables, globs, comments or operators. Own code because the libraries at hand do those too.
 *
 * @throws {HoldfastError} `usage` when a quote is not closed or a backslash is the last character
 */
export function splitWords(text: string): string[] {
  const words: string[] = [];
  let word: string | null = null;
  let quote = "";
  for (let at = 0; at < text.length; at++) {
    const character = text[at];
    if (quote !== "'" && character === "\\") {
      const next = text[++at];
      if (next === undefined) throw unreadable("a backslash ends it; write two for one");
      const literal = quote === "" || ESCAPED_IN_QUOTES.includes(next);
      word = (word ?? "") + (literal ? next : character + next);
    } else if (quote !== "") {
      if (character === quote) quote = "";
      else word += character;
    } else if (character === "'" || character === '"') {
      quote = character;
      word ??= "";
    } else if (/[ \t\r\n]/.test(character)) {
      if (word !== null) words.push(word);
      word = null;
    } else {
      word = (word ?? "") + character;
    }
  }
  if (quote !== "") throw unreadable(`a quote (${quote}) is not closed`);
  if (word !== null) words.push(word);
  return words;
}

function unreadable(why: string): HoldfastError {
  return new HoldfastError("usage", why);
}
