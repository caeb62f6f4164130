/**
 * The option grammar of every subcommand: a table says which options there are, `parseOptions` reads
 * them as getopt and ssh do, `help.ts` prints them. On the path of every client, so it imports nothing
 * but the error class until there is an error to explain.
 */

import { HoldfastError } from "../core/errors.ts";
import type { SshOptions } from "../rendezvous/ssh_options.ts";

/** One option. It has a long name, a short one, or both. */
export interface OptionSpec {
  /** Without the dashes: `json` for `--json`. */
  long?: string;
  /** One character: `p` for `-p`. */
  short?: string;
  /** The name of its value in the help text (`SECONDS`). Absent: a flag, which takes no value. */
  value?: string;
  /** With a value: every one is kept, in order. A flag: it is counted (`-tt` is 2). Otherwise the last wins. */
  repeatable?: true;
  /** One line for the help text, without a full stop. */
  help: string;
  /** Turns the value into what the result holds. Throws a RangeError saying why it cannot. Default: the text. */
  parse?: (text: string) => unknown;
}

/** The options of a subcommand, by the name of the result's property. Write it with `satisfies OptionTable`. */
export type OptionTable = Readonly<Record<string, OptionSpec>>;

type ValueOf<S extends OptionSpec> = S extends { parse: (text: string) => infer V } ? V : string;

/** What a table's options are read into; absent ones are `undefined`, `false`, `[]` or 0. */
export type ParsedOptions<T extends OptionTable> = {
  -readonly [K in keyof T]: T[K] extends { value: string }
    ? T[K] extends { repeatable: true } ? ValueOf<T[K]>[] : ValueOf<T[K]> | undefined
    : T[K] extends { repeatable: true } ? number
    : boolean;
};

/** A command line, read. */
export interface ParsedArguments<T extends OptionTable> {
  options: ParsedOptions<T>;
  /** The words that are no options. */
  positionals: string[];
}

/** Thrown by `parseOptions` at `--help` or `-h`; `main.ts` answers it with the subcommand's help. */
export class HelpRequested extends Error {
  constructor() {
    super("help was asked for");
    this.name = "HelpRequested";
  }
}

/**
 * Reads the options among `args`.
 *
 * - `--name VALUE`, `--name=VALUE`, `-xVALUE`, `-x VALUE`; short flags may be joined (`-tt`, `-vp22`).
 * - A value is taken whatever it looks like, as getopt does.
 * - `--` ends the options; a lone `-` is a positional.
 * - With `stopAtFirstPositional` the first positional (TARGET) ends them too: what follows is verbatim,
 *   less one `--` right after it.
 *
 * @throws {HoldfastError} `usage`: no such option (with the nearest one), a value missing, superfluous or wrong
 * @throws {HelpRequested} when the table has COMMON_OPTIONS' `help` and it was given
 */
export async function parseOptions<const T extends OptionTable>(
  args: readonly string[],
  table: T,
  { stopAtFirstPositional = false }: { stopAtFirstPositional?: boolean } = {},
): Promise<ParsedArguments<T>> {
  const options = emptyOptions(table);
  const positionals: string[] = [];
  const rest = [...args];
  for (let word = rest.shift(); word !== undefined; word = rest.shift()) {
    if (word === "--") {
      if (stopAtFirstPositional && rest.length > 0) positionals.push(rest.shift()!);
      break;
    }
    if (word === "-" || !word.startsWith("-")) {
      positionals.push(word);
      if (stopAtFirstPositional) break;
    } else if (word.startsWith("--")) {
      await readLong(word, rest, table, options);
    } else {
      await readShorts(word, rest, table, options);
    }
  }
  if (stopAtFirstPositional && positionals.length > 0 && rest[0] === "--") rest.shift();
  positionals.push(...rest);
  return { options: options as ParsedOptions<T>, positionals };
}

/** A whole number from `min` to `max`, for `parse`. */
export function integer({ min, max }: { min: number; max: number }): (text: string) => number {
  return (text) => {
    const number = Number(text);
    if (!/^-?\d{1,15}$/.test(text) || number < min || number > max) {
      throw new RangeError(`${quote(text)} is not a whole number from ${min} to ${max}`);
    }
    return number;
  };
}

/** One of these words, for `parse`. */
export function oneOf<const T extends string>(words: readonly T[]): (text: string) => T {
  return (text) => {
    const found = words.find((each) => each === text);
    if (found === undefined) {
      throw new RangeError(`${quote(text)} is not one of ${words.join(", ")}`);
    }
    return found;
  };
}

/** Longest duration a timer can hold (2^31 - 1 ms), in seconds. */
const MAX_SECONDS = 2_147_483;

/** Seconds, decimals allowed, for `parse`; the result is in milliseconds, more than 0. */
export function seconds(text: string): number {
  const number = Number(text);
  if (!/^\d+(\.\d+)?$|^\.\d+$/.test(text) || number < 0.001 || number > MAX_SECONDS) {
    throw new RangeError(
      `${quote(text)} is not a number of seconds above 0 and up to ${MAX_SECONDS}`,
    );
  }
  return Math.round(number * 1000);
}

/** `NAME=VALUE` as an environment variable, for `parse`; the value may be empty. */
export function assignment(text: string): [name: string, value: string] {
  const match = /^([A-Za-z_][A-Za-z0-9_]*)=([^\0]*)$/.exec(text);
  if (!match) throw new RangeError(`${quote(text)} is not NAME=VALUE`);
  return [match[1], match[2]];
}

/** Text that is neither empty nor looks like an option, for `parse`: it may end on a command line. */
export function word(text: string): string {
  if (text === "") throw new RangeError("its value is empty");
  if (text.startsWith("-")) throw new RangeError(`${quote(text)} begins with "-"`);
  if (/\p{Cc}/u.test(text)) throw new RangeError(`${quote(text)} contains a control character`);
  return text;
}

/** What every subcommand takes. `debug` is also looked for by `main.ts`. */
export const COMMON_OPTIONS = {
  help: { long: "help", short: "h", help: "print this help" },
  debug: { long: "debug", help: "tell more about an error, with its stack trace" },
} satisfies OptionTable;

/** `--json`, for those with a machine-readable answer. */
export const JSON_OPTION = {
  json: { long: "json", help: "print the result as JSON" },
} satisfies OptionTable;

/** `--timeout`, in milliseconds, for those that wait for a host. */
export const TIMEOUT_OPTION = {
  timeout: {
    long: "timeout",
    value: "SECONDS",
    parse: seconds,
    help: "give up after this time",
  },
} satisfies OptionTable;

/** ssh's own options, for `exec`, `put`, `fetch` and `client`; they mean what they mean there. And ours of that kind. */
export const SSH_OPTIONS = {
  configFile: {
    short: "F",
    value: "FILE",
    parse: word,
    help: "read this instead of ~/.ssh/config",
  },
  identityFiles: {
    short: "i",
    value: "FILE",
    repeatable: true,
    parse: word,
    help: "authenticate with this private key",
  },
  port: {
    short: "p",
    value: "PORT",
    parse: integer({ min: 1, max: 65535 }),
    help: "connect to this port",
  },
  user: { short: "l", value: "USER", parse: word, help: "log in as this user" },
  jump: { short: "J", value: "HOST", parse: word, help: "connect through this host" },
  options: {
    short: "o",
    value: "KEY=VALUE",
    repeatable: true,
    parse: word,
    help: "set an option of ssh_config",
  },
  provision: {
    long: "provision",
    value: "POLICY",
    parse: oneOf(["auto", "never", "always"]),
    help:
      "give a host without deno, node or bun a runtime: auto (from the second use on), never, always",
  },
  openssh: { long: "openssh", help: "connect with the system's ssh, whatever else could" },
  passwordCommand: {
    long: "password-command",
    value: "COMMAND",
    parse: word,
    help: "run this here for a password; it prints it and gets the question as $HOLDFAST_QUESTION",
  },
} satisfies OptionTable;

/**
 * The part of a command line that travels with the request. What answers questions for a password stays in this
 * process, where `client/ask.ts` finds it.
 */
export function sshOptions<T extends ParsedOptions<typeof SSH_OPTIONS>>(
  { configFile, identityFiles, port, user, jump, options, openssh, provision, passwordCommand }: T,
): SshOptions {
  if (passwordCommand !== undefined) Deno.env.set("HOLDFAST_PASSWORD_COMMAND", passwordCommand);
  const own = { openssh: openssh || undefined, provision };
  return { configFile, identityFiles, port, user, jump, options, ...own };
}

/** How an option is written: its long form where it has one. */
export function optionName(spec: OptionSpec): string {
  return spec.long === undefined ? `-${spec.short}` : `--${spec.long}`;
}

type Collected = Record<string, unknown>;

function emptyOptions(table: OptionTable): Collected {
  const options: Collected = {};
  for (const [key, { value, repeatable }] of Object.entries(table)) {
    if (value === undefined) options[key] = repeatable ? 0 : false;
    else options[key] = repeatable ? [] : undefined;
  }
  return options;
}

async function readLong(
  word: string,
  rest: string[],
  table: OptionTable,
  options: Collected,
): Promise<void> {
  const equals = word.indexOf("=");
  const name = equals < 0 ? word : word.slice(0, equals);
  const found = Object.entries(table).find(([, spec]) => spec.long === name.slice(2));
  if (!found) throw await noSuchOption(name, "there is no such option", table);
  const [key, spec] = found;
  const attached = equals < 0 ? undefined : word.slice(equals + 1);
  if (spec.value === undefined) {
    if (attached !== undefined) throw unreadable(name, "it takes no value");
    setFlag(key, spec, options);
  } else {
    setValue(key, { spec, name, text: attached ?? rest.shift() }, options);
  }
}

/** `-tt`, `-p22`, `-vp 22`: flags up to the first option that takes the rest, or the next word, as its value. */
async function readShorts(
  word: string,
  rest: string[],
  table: OptionTable,
  options: Collected,
): Promise<void> {
  const letters = [...word.slice(1)];
  for (const [i, letter] of letters.entries()) {
    const name = `-${letter}`;
    const found = Object.entries(table).find(([, spec]) => spec.short === letter);
    if (!found) {
      const why = letters.length === 1 ? "there is no such option" : `there is no option "${name}"`;
      throw await noSuchOption(word, why, table);
    }
    const [key, spec] = found;
    if (spec.value !== undefined) {
      const attached = letters.slice(i + 1).join("");
      return setValue(key, { spec, name, text: attached || rest.shift() }, options);
    }
    setFlag(key, spec, options);
  }
}

function setFlag(key: string, spec: OptionSpec, options: Collected): void {
  if (spec === COMMON_OPTIONS.help) throw new HelpRequested();
  options[key] = spec.repeatable ? (options[key] as number) + 1 : true;
}

function setValue(
  key: string,
  { spec, name, text }: { spec: OptionSpec; name: string; text: string | undefined },
  options: Collected,
): void {
  if (text === undefined) throw unreadable(name, `it needs a value; write ${name} ${spec.value}`);
  const value = readValue(name, spec, text);
  if (spec.repeatable) (options[key] as unknown[]).push(value);
  else options[key] = value;
}

function readValue(name: string, spec: OptionSpec, text: string): unknown {
  if (!spec.parse) return text;
  try {
    return spec.parse(text);
  } catch (error) {
    if (error instanceof RangeError) throw unreadable(name, error.message);
    throw error;
  }
}

async function noSuchOption(
  name: string,
  why: string,
  table: OptionTable,
): Promise<HoldfastError> {
  const { nearest }: typeof import("../rendezvous/nearest.ts") = await import(
    "../rendezvous/nearest.ts" as string
  );
  const names = Object.values(table).flatMap((spec) => spec.long ?? []);
  const near = await nearest(name.replace(/^-+/, ""), names);
  return unreadable(name, near === undefined ? why : `${why}; did you mean "--${near}"?`);
}

function unreadable(name: string, why: string): HoldfastError {
  return new HoldfastError("usage", `Cannot read option ${quote(name)}: ${why}`);
}

/** In one line, and short, whatever it holds. */
function quote(text: string): string {
  return JSON.stringify(text.length > 120 ? text.slice(0, 120) + "…" : text);
}
