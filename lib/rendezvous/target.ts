/**
 * TARGET, the user's word for a stack of hops: `web1`, `ann@db1:2222`, `bastion,db1,sudo=postgres`.
 * Pure text to data and back, for the client (which refuses bad words before anything starts), for the
 * daemon (which trusts no client) and for the relay's init block. No host name or user that could be
 * read as an option, or by a shell, gets past this file.
 */

import { HoldfastError } from "../core/errors.ts";
import { printable } from "../core/printable.ts";

/** What each connection method does with the text after its `=`. */
const METHODS = {
  ssh: { argument: "required", check: checkDestination, placeholder: "HOST" },
  local: { argument: "none", check: checkArgument, placeholder: "" },
  sudo: { argument: "optional", check: checkUser, placeholder: "USER" },
  su: { argument: "optional", check: checkUser, placeholder: "USER" },
  doas: { argument: "optional", check: checkUser, placeholder: "USER" },
  docker: { argument: "required", check: checkArgument, placeholder: "CONTAINER" },
  podman: { argument: "required", check: checkArgument, placeholder: "CONTAINER" },
  kubectl: { argument: "required", check: checkArgument, placeholder: "NAMESPACE/POD" },
  lxc: { argument: "required", check: checkArgument, placeholder: "CONTAINER" },
  incus: { argument: "required", check: checkArgument, placeholder: "CONTAINER" },
  nsenter: { argument: "required", check: checkArgument, placeholder: "PID" },
  machinectl: { argument: "optional", check: checkArgument, placeholder: "MACHINE" },
  chroot: { argument: "required", check: checkArgument, placeholder: "DIRECTORY" },
  bwrap: { argument: "optional", check: checkArgument, placeholder: "DIRECTORY" },
  openssh: { argument: "required", check: checkDestination, placeholder: "HOST" },
} as const;

/** A method whose hop is fully described by the text after its `=`. */
export type ArgumentMethod = Exclude<keyof typeof METHODS, "ssh" | "openssh" | "local">;

/** How a hop by a method begins: `local`, `docker=`. */
export function methodWords(): string[] {
  return Object.entries(METHODS)
    .map(([name, { argument }]) => argument === "required" ? `${name}=` : name);
}

/** A hop over SSH. */
export interface SshHop {
  method: "ssh";
  /** A name or an address, IPv6 without brackets. */
  host: string;
  user?: string;
  /** 1 to 65535; absent: ssh_config decides. */
  port?: number;
  /** Written `ssh=HOST`: the host itself, even where a hosts file or an inventory has that name. */
  exact?: true;
  /** Written `openssh=HOST`: by the system's ssh, and exact as well. */
  openssh?: true;
}

/** One step of a stack. */
export type Hop =
  | SshHop
  | { method: "local" }
  | { method: ArgumentMethod; argument?: string };

/** A TARGET is at most this many bytes of UTF-8. */
export const MAX_TARGET_BYTES = 1024;
/** A TARGET has at most this many hops. */
export const MAX_HOPS = 32;

/**
 * Reads a TARGET.
 *
 * @throws {HoldfastError} `usage`, naming the value, what is wrong with it and what to write instead
 */
export function parseTarget(text: string): Hop[] {
  try {
    checkSize(text);
    const hops = text.split(",");
    if (hops.length > MAX_HOPS) {
      throw new RangeError(`it has ${hops.length} hops, and ${MAX_HOPS} is the most`);
    }
    return hops.map(parseHop);
  } catch (error) {
    throw unreadable(text, error);
  }
}

/**
 * The canonical text of a stack: equal stacks give equal text, and `parseTarget` reads it back.
 *
 * @throws {HoldfastError} `usage` when a part is not valid in a TARGET (a comma in a host name, say), so
 * that stacks put together from data cannot pass for others
 */
export function formatTarget(hops: readonly Hop[]): string {
  const text = hops.map(formatHop).join(",");
  const canonical = parseTarget(text);
  if (canonical.length !== hops.length || !hops.every((hop, i) => sameHop(hop, canonical[i]))) {
    throw unreadable(text, new RangeError("a part of it contains a separator; leave it out"));
  }
  return text;
}

/**
 * Checks a host name or address that does not come from a TARGET (an init block, `-J`). OpenSSH's rule,
 * and nothing that separates the parts of a TARGET.
 *
 * @throws {RangeError} whose message says what is wrong
 */
export function checkHost(host: string): void {
  checkWord(host, "the host name", /['`"$\\;&<>|(){}[\]*?!=/@]/);
  if (host.includes(":") && !IPV6.test(host)) {
    throw new RangeError(
      `${
        quote(host)
      } is neither HOST:PORT nor an IPv6 address; write [ADDRESS]:PORT for the latter`,
    );
  }
}

/**
 * Checks a user name that does not come from a TARGET (an init block, `-l`). OpenSSH's rule: a backslash
 * inside (`DOMAIN\user`) and a dollar sign are allowed.
 *
 * @throws {RangeError} whose message says what is wrong
 */
export function checkUser(user: string): void {
  checkWord(user, "the user name", /['`";&<>|(){}]/);
  if (user.endsWith("\\")) {
    throw new RangeError("the user name ends with a backslash; write DOMAIN\\USER");
  }
}

/** Two colons or more, hexadecimal, perhaps an IPv4 tail and a zone. Whether it exists is resolved later. */
const IPV6 = /^(?=(?:[^:]*:){2})[0-9a-f:.]+(?:%[\w.-]+)?$/i;

/** What no terminal should see and no line should hold: controls, format characters, lone surrogates. */
const INVISIBLE = /[\p{Cc}\p{Cf}\p{Cs}]/u;

function parseHop(text: string): Hop {
  if (text === "") throw new RangeError("a hop is empty; separate hops with single commas");
  if (text.includes("://")) {
    throw new RangeError("it is a URL; write [USER@]HOST[:PORT]");
  }
  const equals = text.indexOf("=");
  const name = equals < 0 ? text : text.slice(0, equals);
  if (!Object.hasOwn(METHODS, name)) {
    if (equals < 0) return parseDestination(text);
    throw unknownMethod(name);
  }
  return methodHop(name as keyof typeof METHODS, equals < 0 ? undefined : text.slice(equals + 1));
}

function methodHop(name: keyof typeof METHODS, argument: string | undefined): Hop {
  const method = METHODS[name];
  if (method.argument === "none" && argument !== undefined) {
    throw new RangeError(`the method "${name}" takes no argument; write ${name}`);
  }
  if (argument === "" || (method.argument === "required" && argument === undefined)) {
    const host = argument === undefined ? `, or ssh=${name} for a host of that name` : "";
    const bare = method.argument === "optional" ? ` or ${name}` : "";
    throw new RangeError(
      `the method "${name}" needs a value; write ${name}=${method.placeholder}${bare}${host}`,
    );
  }
  if (name === "ssh") return { ...parseDestination(argument!), exact: true };
  if (name === "openssh") return { ...parseDestination(argument!), exact: true, openssh: true };
  if (name === "local") return { method: "local" };
  if (argument === undefined) return { method: name };
  method.check(argument);
  return { method: name, argument };
}

/** Reads `[user@]host[:port]`; the user ends at the last `@`, as in OpenSSH. */
function parseDestination(text: string): SshHop {
  const at = text.lastIndexOf("@");
  const { host, port } = splitPort(text.slice(at + 1));
  checkHost(host);
  const hop: SshHop = { method: "ssh", host };
  if (at >= 0) {
    hop.user = text.slice(0, at);
    checkUser(hop.user);
  }
  if (port !== undefined) hop.port = parsePort(port);
  return hop;
}

function splitPort(text: string): { host: string; port?: string } {
  if (text.startsWith("[")) {
    const bracket = text.indexOf("]");
    if (bracket < 0) throw new RangeError('a "[" is not closed; write [ADDRESS] or [ADDRESS]:PORT');
    const host = text.slice(1, bracket);
    const rest = text.slice(bracket + 1);
    if (rest === "") return { host };
    if (rest[0] !== ":") {
      throw new RangeError(`only :PORT may follow "]", not ${quote(rest)}`);
    }
    return { host, port: rest.slice(1) };
  }
  const colon = text.indexOf(":");
  // Several colons and no brackets: an IPv6 address, which leaves no room for a port.
  if (colon < 0 || text.indexOf(":", colon + 1) > 0) return { host: text };
  return { host: text.slice(0, colon), port: text.slice(colon + 1) };
}

function parsePort(text: string): number {
  const port = Number(text);
  if (!/^\d{1,5}$/.test(text) || port < 1 || port > 65535) {
    throw new RangeError(`the port ${quote(text)} is not a number from 1 to 65535`);
  }
  return port;
}

function checkDestination(text: string): void {
  parseDestination(text);
}

/** A container, a pod, a pid or a directory: it may hold spaces, but is never an option or invisible. */
function checkArgument(text: string): void {
  if (text.startsWith("-")) throw new RangeError(`the value ${quote(text)} begins with "-"`);
  checkVisible(text, "the value");
}

function checkWord(text: string, what: string, forbidden: RegExp): void {
  if (text === "") throw new RangeError(`${what} is empty; write [USER@]HOST[:PORT]`);
  if (text.startsWith("-")) throw new RangeError(`${what} ${quote(text)} begins with "-"`);
  checkVisible(text, what);
  if (/\s/.test(text)) throw new RangeError(`${what} ${quote(text)} contains white space`);
  const found = forbidden.exec(text);
  if (found) throw new RangeError(`${what} ${quote(text)} contains ${quote(found[0])}`);
}

function checkVisible(text: string, what: string): void {
  // The class of printable ASCII first: compiling the Unicode ones costs every client a millisecond.
  if (/^[ -~]*$/.test(text) || !INVISIBLE.test(text)) return;
  throw new RangeError(`${what} contains a control character`);
}

function checkSize(text: string): void {
  if (text === "") throw new RangeError("it is empty; write [USER@]HOST[:PORT] or a method");
  if (text.length * 3 <= MAX_TARGET_BYTES) return;
  const bytes = new TextEncoder().encode(text).length;
  if (bytes > MAX_TARGET_BYTES) {
    throw new RangeError(`it is ${bytes} bytes long, and ${MAX_TARGET_BYTES} is the most`);
  }
}

function formatHop(hop: Hop): string {
  if (hop.method !== "ssh") {
    const argument = hop.method === "local" ? undefined : hop.argument;
    return argument === undefined ? hop.method : `${hop.method}=${argument}`;
  }
  const host = hop.host.includes(":") ? `[${hop.host}]` : hop.host;
  const user = hop.user === undefined ? "" : `${hop.user}@`;
  const port = hop.port === undefined ? "" : `:${hop.port}`;
  const text = user + host + port;
  if (hop.openssh) return `openssh=${text}`;
  const needsMethod = hop.exact || text.includes("=") || Object.hasOwn(METHODS, text);
  return needsMethod ? `ssh=${text}` : text;
}

/** For hops of equal text: whether the parts fell in the same places. */
function sameHop(a: Hop, b: Hop): boolean {
  if (a.method !== "ssh" || b.method !== "ssh") return a.method === b.method;
  return a.host === b.host && a.user === b.user;
}

function unknownMethod(name: string): RangeError {
  const names = Object.keys(METHODS);
  const near = nearestMethod(name.toLowerCase(), names);
  const advice = near === undefined
    ? `the methods are ${names.join(", ")}`
    : `did you mean "${near}"?`;
  return new RangeError(`there is no connection method ${quote(name)}; ${advice}`);
}

/** Local and small on purpose: this file is loaded by every client, and `nearest.ts` loads a library. */
function nearestMethod(word: string, names: string[]): string | undefined {
  const limit = word.length < 4 ? 1 : 2;
  const ranked = names.map((name) => ({ name, distance: editDistance(word, name) }))
    .sort((a, b) => a.distance - b.distance);
  return ranked[0].distance <= limit ? ranked[0].name : undefined;
}

/** Levenshtein's distance, one row at a time. */
function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, i) => i);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const swap = row[j - 1] + (a[i - 1] === b[j - 1] ? 0 : 1);
      next[j] = Math.min(row[j] + 1, next[j - 1] + 1, swap);
    }
    row = next;
  }
  return row[b.length];
}

/** Only this file's own findings become `usage`; a defect stays a defect. */
function unreadable(text: string, error: unknown): unknown {
  if (!(error instanceof RangeError)) return error;
  return new HoldfastError("usage", `Cannot read target ${quote(text)}: ${error.message}`);
}

/** In one line, and short, whatever it holds. */
function quote(text: string): string {
  return `"${printable(text.length > 120 ? text.slice(0, 120) + "…" : text)}"`;
}
