/**
 * The hosts file (`hosts.toml`): names of the user's own for stacks and their options. Text to entries for
 * `stack_files.ts`, which finds and remembers the file. It holds no passwords.
 */

import { dirname, join, resolve } from "node:path";
import { HoldfastError } from "../core/errors.ts";
import { printable } from "../core/printable.ts";
import { nearest } from "../rendezvous/nearest.ts";
import { mergeSshOptions, type SshOptions } from "../rendezvous/ssh_options.ts";
import { type ProvisionPolicy, provisionPolicy } from "../rendezvous/provision_policy.ts";
import { checkHost, checkUser, type Hop, parseTarget } from "../rendezvous/target.ts";
import type { StackEntry } from "./stack_entry.ts";
import { lineOf } from "./toml_line.ts";

export interface HostsFile {
  /** Absolute. */
  path: string;
  /** What the file says of a name; always the same object. */
  entry(name: string): StackEntry | undefined;
  /** Files or directories for ansible-inventory, or files with its output, in order; absolute or from `~/` on. */
  inventory: string[];
}

/** What may stand in `[hosts.NAME]`, each with what its value becomes. */
const HOST_KEYS = {
  host: checkedText(checkHost),
  user: checkedText(checkUser),
  port: portNumber,
  identity: texts,
  options: sshSettings,
  provision: policy,
  via: target,
  become: becomeHop,
  stack: target,
};

/** What may stand in `[defaults]`. */
const DEFAULT_KEYS = {
  user: HOST_KEYS.user,
  port: HOST_KEYS.port,
  identity: HOST_KEYS.identity,
  options: HOST_KEYS.options,
  provision: HOST_KEYS.provision,
  inventory: texts,
};

type KeyTable = Record<string, (value: unknown) => unknown>;
type Read<T extends KeyTable> = { [K in keyof T]?: ReturnType<T[K]> };
type Table = Record<string, unknown>;

/**
 * Reads the text of a hosts file.
 *
 * @throws {HoldfastError} `resolve`, naming file, line, key and what is wrong
 */
export async function parseHostsFile(
  text: string,
  { path }: { path: string },
): Promise<HostsFile> {
  // Only who has such a file pays for the library.
  const { parse, TomlError } = await import("smol-toml");
  const line = (keys: string[]) => lineOf(keys, { text, parse });
  const fail = (place: string, why: string, cause?: unknown) =>
    new HoldfastError("resolve", `Cannot read "${printable(path)}", ${place}: ${why}`, { cause });

  /** Reads a table whose place in the document is `keys`; every key of it must be known. */
  async function read<T extends KeyTable>(keys: string[], table: T, value: unknown) {
    if (!isTable(value)) throw fail(`line ${line(keys)}`, `${named(keys)} is not a table`);
    const result: Table = {};
    for (const [key, content] of Object.entries(value)) {
      const where = [...keys, key];
      if (!Object.hasOwn(table, key)) throw await unknownKey(where, Object.keys(table));
      try {
        result[key] = table[key](content);
      } catch (error) {
        if (!(error instanceof RangeError || error instanceof HoldfastError)) throw error;
        throw fail(`line ${line(where)}`, `${named(where)}: ${error.message}`, error);
      }
    }
    return result as Read<T>;
  }

  async function unknownKey(keys: string[], known: string[]): Promise<HoldfastError> {
    const near = await nearest(keys.at(-1)!, known);
    const advice = near ? `did you mean "${near}"?` : `the keys are ${known.join(", ")}`;
    return fail(`line ${line(keys)}`, `there is no key ${named(keys)}; ${advice}`);
  }

  let document: Table;
  try {
    document = parse(text);
  } catch (error) {
    if (!(error instanceof TomlError)) throw error;
    const [why] = error.message.replace(/^Invalid TOML document: /, "").split("\n");
    throw fail(`line ${error.line}, column ${error.column}`, printable(why), error);
  }
  const top = await read([], { hosts: (value) => value, defaults: (value) => value }, document);
  const defaults = await read(["defaults"], DEFAULT_KEYS, top.defaults ?? {});
  const hosts = top.hosts ?? {};
  if (!isTable(hosts)) throw fail(`line ${line(["hosts"])}`, "hosts is not a table");
  const tables = new Map<string, Read<typeof HOST_KEYS>>();
  for (const [name, value] of Object.entries(hosts)) {
    const keys = ["hosts", name];
    const settings = await read(keys, HOST_KEYS, value);
    const why = whyNoName(name) ?? whyContradictory(settings);
    if (why !== undefined) throw fail(`line ${line(keys)}`, `[${named(keys)}]: ${why}`);
    tables.set(name, settings);
  }
  const base = dirname(path);
  const entries = new Map<string, StackEntry>();
  return {
    path,
    inventory: (defaults.inventory ?? []).map((path) =>
      path.startsWith("~/") ? path : resolve(base, path)
    ),
    entry(name) {
      const settings = tables.get(name);
      if (settings === undefined || entries.has(name)) return entries.get(name);
      const source = `${path}:${line(["hosts", name])}`;
      const entry = makeEntry(settings, { name, source, defaults, base });
      entries.set(name, entry);
      return entry;
    },
  };
}

function makeEntry(
  { stack, host, via = [], become, ...own }: Read<typeof HOST_KEYS>,
  { name, source, defaults, base }: {
    name: string;
    source: string;
    defaults: Read<typeof DEFAULT_KEYS>;
    base: string;
  },
): StackEntry {
  if (stack) return { kind: "alias", name, source, stack };
  return {
    kind: "machine",
    name,
    source,
    via,
    viaScope: "all",
    hop: { method: "ssh", host: host ?? name },
    options: mergeSshOptions([sshOptions(own, base), sshOptions(defaults, base)]),
    ...become && { become: { hop: become } },
  };
}

function sshOptions(
  { user, port, identity = [], options, provision }: Read<typeof DEFAULT_KEYS>,
  base: string,
): SshOptions {
  return { user, port, identityFiles: absolute(identity, base), options, provision };
}

/** Relative names start at the file's directory; `~` and ssh's tokens are left to be expanded with ssh's own. */
function absolute(paths: string[], base: string): string[] {
  return paths.map((path) => /^[/~%$]/.test(path) ? path : join(base, path));
}

/** A name must be what a TARGET can ask for. */
function whyNoName(name: string): string | undefined {
  try {
    const [hop, ...more] = parseTarget(name);
    const isName = more.length === 0 && hop.method === "ssh" && hop.host === name;
    if (isName) return undefined;
  } catch {
    // Told below.
  }
  return "no TARGET can ask for this name; it must be one host's, and no connection method's";
}

function whyContradictory({ stack, ...others }: Read<typeof HOST_KEYS>): string | undefined {
  const [other] = Object.keys(others);
  if (stack === undefined || other === undefined) return undefined;
  return `"stack" is all of it; leave out "${other}", or name it in a table of its own`;
}

/** `hosts.db1.port`, as TOML writes it. */
function named(keys: string[]): string {
  return keys.map((key) => /^[\w-]+$/.test(key) ? key : JSON.stringify(printable(key))).join(".");
}

function isTable(value: unknown): value is Table {
  return typeof value === "object" && value !== null && !Array.isArray(value) &&
    !(value instanceof Date);
}

function text(value: unknown): string {
  if (typeof value !== "string") throw new RangeError("it is not a string");
  if (value === "") throw new RangeError("it is empty");
  if (/[\0\n\r]/.test(value)) throw new RangeError("it has more than one line, or a NUL");
  return value;
}

function policy(value: unknown): ProvisionPolicy {
  return provisionPolicy(text(value));
}

function checkedText(check: (text: string) => void): (value: unknown) => string {
  return (value) => {
    check(text(value));
    return value as string;
  };
}

function texts(value: unknown): string[] {
  return Array.isArray(value) ? value.map(text) : [text(value)];
}

function sshSettings(value: unknown): string[] {
  const settings = texts(value);
  for (const setting of settings) {
    if (/^\s*[A-Za-z]\w*\s*[\s=]\s*\S/.test(setting)) continue;
    throw new RangeError(`"${printable(setting)}" is not KEYWORD=VALUE, as ssh_config has them`);
  }
  return settings;
}

function portNumber(value: unknown): number {
  if (Number.isInteger(value) && Number(value) >= 1 && Number(value) <= 65535) {
    return value as number;
  }
  throw new RangeError("it is not a number from 1 to 65535");
}

function target(value: unknown): Hop[] {
  return parseTarget(text(value));
}

/** `true`, `"postgres"` or `{ method = "su", user = "postgres" }`. */
function becomeHop(value: unknown): Hop | undefined {
  if (value === false) return undefined;
  const { method = "sudo", user, ...others } = value === true
    ? {}
    : isTable(value)
    ? value
    : { user: value };
  const [other] = Object.keys(others);
  if (other !== undefined) {
    throw new RangeError(`there is no key "${printable(other)}" in it, only method and user`);
  }
  if (method !== "sudo" && method !== "su" && method !== "doas") {
    throw new RangeError("its method is none of sudo, su, doas");
  }
  if (user === undefined) return { method };
  checkUser(text(user));
  return { method, argument: user as string };
}
