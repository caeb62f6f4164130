/**
 * The init block: a JSON object with the field names of the first ansible-connection, which says where the
 * relay's actions go and who one is there. For `holdfast client` and for the length frames on the daemon's
 * socket. No error here quotes what the block contains but the names of its fields: it holds passwords.
 */
import { HoldfastError } from "../core/errors.ts";
import { printable } from "../core/printable.ts";
import { readSshArguments } from "../rendezvous/ssh_arguments.ts";
import { mergeSshOptions } from "../rendezvous/ssh_options.ts";
import {
  type ArgumentMethod,
  checkHost,
  checkUser,
  formatTarget,
  type Hop,
  parseTarget,
} from "../rendezvous/target.ts";
import type { SshOptions } from "./session.ts";

/** The line that ends the block. */
export const END_OF_INIT = "#END_INIT#";
/** Bytes of a block with its last line. */
export const MAX_INIT_BLOCK: number = 1024 * 1024;

/** Where to go, as `Session.open` takes it. */
export interface Destination {
  target: string;
  ssh: SshOptions;
  password?: string;
  becomePassword?: string;
}

export interface InitOptions {
  /** TARGET of the command line: it wins over the block's address, user and port. */
  target?: string;
  /** ssh's options of the command line: they win over the block's. */
  ssh?: SshOptions;
  /** Gets the names of the fields that mean nothing here, printable. */
  onIgnored?: (names: string[]) => void;
}

type Fields = Record<string, unknown>;

/** What `connection` may be, without a collection's name before it, and the method that it stands for. */
const CONNECTIONS: Record<string, "ssh" | "local"> = {
  ssh: "ssh",
  smart: "ssh",
  paramiko: "ssh",
  paramiko_ssh: "ssh",
  libssh: "ssh",
  persistent: "ssh",
  local: "local",
};

/** What `become_method` may be. */
const BECOME_METHODS = ["sudo", "su", "doas"];

/** In the order in which ssh would see them: it takes the first value of an option. */
const ARGUMENT_FIELDS = ["ssh_args", "ssh_common_args", "ssh_extra_args"];

const KNOWN = new Set([
  ...["connection", "remote_addr", "port", "remote_user", "password", "private_key_file"],
  ...["timeout", "become", "become_method", "become_user", "become_pass", ...ARGUMENT_FIELDS],
]);

/**
 * Reads the block's JSON, with or without the line that ends it.
 *
 * @throws {HoldfastError} `usage` when it is no JSON object
 */
export function parseInitBlock(text: string): Fields {
  let value: unknown;
  try {
    value = JSON.parse(text.replace(/\n?[ \t]*#END_INIT#\s*$/, ""));
  } catch (error) {
    // The parser quotes its text: only the place is safe to tell.
    const place = / \((line \d+ column \d+)\)$/.exec((error as Error).message);
    throw unreadable(`it is not JSON${place ? ` from ${place[1]} on` : ""}`);
  }
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw unreadable("it is not a JSON object");
  }
  return value as Fields;
}

/**
 * Makes the destination of a parsed block, or of a TARGET alone (`fields` is empty then).
 *
 * @throws {HoldfastError} `usage`, naming the field
 */
export function readDestination(fields: Fields, options: InitOptions = {}): Destination {
  const ignored = Object.keys(fields).filter((name) => !KNOWN.has(name) && !isAbsent(fields[name]));
  if (ignored.length > 0) {
    options.onIgnored?.(ignored.map((name) => printable(name.slice(0, 60))));
  }
  const hops = options.target === undefined ? [firstHop(fields)] : parseTarget(options.target);
  const become = becomeHop(fields);
  if (become) hops.push(become);
  const password = text(fields, "password");
  const becomePassword = text(fields, "become_pass");
  return {
    target: formatTarget(hops),
    ssh: { ...present(sshOptions(fields, options.ssh)) },
    ...password === undefined ? {} : { password },
    ...become && becomePassword !== undefined ? { becomePassword } : {},
  };
}

function firstHop(fields: Fields): Hop {
  const connection = text(fields, "connection") ?? "smart";
  const name = connection.replace(/^.*\./, "");
  if (!Object.hasOwn(CONNECTIONS, name)) {
    const names = Object.keys(CONNECTIONS).join(", ");
    throw unreadable(`"connection" is none of ${names}`);
  }
  if (CONNECTIONS[name] === "local") return { method: "local" };
  const host = text(fields, "remote_addr");
  if (host === undefined) throw unreadable('"remote_addr" is missing: no host is named');
  check("remote_addr", () => checkHost(host));
  return { method: "ssh", host };
}

function becomeHop(fields: Fields): Hop | null {
  if (!truth(fields, "become")) return null;
  const method = text(fields, "become_method") ?? "sudo";
  if (!BECOME_METHODS.includes(method)) {
    throw unreadable(`"become_method" is none of ${BECOME_METHODS.join(", ")}`);
  }
  const user = text(fields, "become_user");
  if (user === undefined) return { method: method as ArgumentMethod };
  check("become_user", () => checkUser(user));
  return { method: method as ArgumentMethod, argument: user };
}

function sshOptions(fields: Fields, given: SshOptions = {}): SshOptions {
  const words = ARGUMENT_FIELDS.map((name) => readArguments(name, text(fields, name) ?? ""));
  const key = text(fields, "private_key_file");
  const user = text(fields, "remote_user");
  if (user !== undefined) check("remote_user", () => checkUser(user));
  const timeout = number(fields, "timeout", { min: 1, max: 86_400 });
  const port = number(fields, "port", { min: 1, max: 65_535 });
  return mergeSshOptions([
    given,
    { user, port, identityFiles: key === undefined ? [] : [key] },
    ...words,
    { options: timeout === undefined ? [] : [`ConnectTimeout=${Math.ceil(timeout)}`] },
  ]);
}

function readArguments(field: string, line: string): SshOptions {
  try {
    return readSshArguments(line);
  } catch (error) {
    throw unreadable(`"${field}" ${(error as Error).message}`);
  }
}

// Fields

/** As a serialised play context has them: null, empty text and false say nothing. */
function isAbsent(value: unknown): boolean {
  return value === undefined || value === null || value === "" || value === false ||
    (Array.isArray(value) && value.length === 0);
}

function text(fields: Fields, name: string): string | undefined {
  const value = fields[name];
  if (isAbsent(value)) return undefined;
  if (typeof value !== "string") throw unreadable(`"${name}" is not a string`);
  if (value.includes("\0")) throw unreadable(`"${name}" contains a NUL character`);
  return value;
}

function number(
  fields: Fields,
  name: string,
  { min, max }: { min: number; max: number },
): number | undefined {
  const value = fields[name];
  if (isAbsent(value)) return undefined;
  const number = typeof value === "string" && /^\d+(\.\d+)?$/.test(value) ? Number(value) : value;
  if (typeof number !== "number" || !(number >= min && number <= max)) {
    throw unreadable(`"${name}" is not a number from ${min} to ${max}`);
  }
  return number;
}

function truth(fields: Fields, name: string): boolean {
  const value = fields[name];
  if (isAbsent(value)) return false;
  if (typeof value === "boolean") return value;
  const word = String(value).toLowerCase();
  if (["yes", "true", "on", "1"].includes(word)) return true;
  if (["no", "false", "off", "0"].includes(word)) return false;
  throw unreadable(`"${name}" is neither true nor false`);
}

/** Names the field in what a check says. Host and user names may be quoted: they are no secrets. */
function check(field: string, run: () => void): void {
  try {
    run();
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    throw unreadable(`"${field}": ${error.message}`);
  }
}

function present(options: SshOptions): SshOptions {
  const entries = Object.entries(options).filter(([, value]) => !isAbsent(value));
  return Object.fromEntries(entries);
}

function unreadable(why: string): HoldfastError {
  return new HoldfastError("usage", `Cannot read init block: ${why}`);
}
