/**
 * OpenSSH's known_hosts files: what is known about a host's key, and how a new key is remembered.
 * Format: sshd(8), "SSH_KNOWN_HOSTS FILE FORMAT". Used by `host_key_check.ts`.
 */

import { Buffer } from "node:buffer";
import { createHash, createHmac, randomBytes } from "node:crypto";
import { dirname } from "node:path";

/** A host as known_hosts names it, and the key it showed. */
export interface HostKeyQuestion {
  /** Host name, address or HostKeyAlias. */
  host: string;
  /** 22 means a plain name; null for an alias, which never carries a port. */
  port: number | null;
  /** The key as it goes over the wire. */
  key: Uint8Array;
}

/** `file` and `line` (from 1) say which entry decided. */
export type HostKeyVerdict =
  | { verdict: "known" }
  | { verdict: "unknown" }
  | { verdict: "changed"; file: string; line: number; type: string }
  | { verdict: "revoked"; file: string; line: number };

interface Entry {
  file: string;
  line: number;
  marker: "" | "@revoked" | "@cert-authority";
  /** The first field: patterns joined by commas, or one hashed name. */
  names: string;
  type: string;
  /** Wire form of the key in base64, as {@linkcode Buffer} prints it. */
  key: string;
}

/** RSA keys are one type in known_hosts and three in a negotiation; the strong ones first. */
const RSA_ALGORITHMS = ["rsa-sha2-512", "rsa-sha2-256", "ssh-rsa"];

/**
 * - A revoked key is revoked whatever else is known.
 * - A key that any entry knows is known, even if other entries differ.
 * - An unknown type of key is unknown, not changed, as in OpenSSH.
 * - Broken lines and missing files count for nothing.
 */
export class KnownHosts {
  #entries: Entry[];

  private constructor(entries: Entry[]) {
    this.#entries = entries;
  }

  /** Reads `files` in order. A missing or unreadable file is an empty one. */
  static async load(files: readonly string[]): Promise<KnownHosts> {
    const texts = await Promise.all(files.map((file) => Deno.readTextFile(file).catch(() => "")));
    return new KnownHosts(texts.flatMap((text, index) => parse(text, files[index])));
  }

  check(question: HostKeyQuestion): HostKeyVerdict {
    const verdict = this.#checkName(knownHostsName(question.host, question.port), question.key);
    if (verdict.verdict !== "unknown" || hasDefaultPort(question.port)) return verdict;
    // As OpenSSH does: a key known for the host without its port will do, a differing one says nothing.
    const plain = this.#checkName(knownHostsName(question.host, null), question.key);
    return plain.verdict === "changed" ? verdict : plain;
  }

  /** The signature algorithms of the keys known for a host, in the order of the files. */
  keyTypes(host: string, port: number | null): string[] {
    const types = new Set<string>();
    const names = [knownHostsName(host, port)];
    if (!hasDefaultPort(port)) names.push(knownHostsName(host, null));
    for (const name of names) {
      for (const entry of this.#entries) {
        if (entry.marker !== "" || !matchesNames(entry.names, name)) continue;
        const algorithms = entry.type === "ssh-rsa" ? RSA_ALGORITHMS : [entry.type];
        for (const algorithm of algorithms) types.add(algorithm);
      }
    }
    return [...types];
  }

  /** The line of the first `@cert-authority` for a host, from 1; null when there is none. */
  authority({ host, port }: Pick<HostKeyQuestion, "host" | "port">): number | null {
    const names = [knownHostsName(host, port), knownHostsName(host, null)];
    const found = this.#entries.find((entry) =>
      entry.marker === "@cert-authority" && names.some((name) => matchesNames(entry.names, name))
    );
    return found?.line ?? null;
  }

  /** The other names under which this very key is known, at most `limit` of them. */
  otherNames(key: Uint8Array, limit = 5): { file: string; line: number; names: string }[] {
    const wanted = Buffer.from(key).toString("base64");
    return this.#entries.filter((entry) => entry.marker === "" && entry.key === wanted)
      .slice(0, limit)
      .map(({ file, line, names }) => ({ file, line, names }));
  }

  #checkName(name: string, key: Uint8Array): HostKeyVerdict {
    const shown = Buffer.from(key).toString("base64");
    const type = keyType(key);
    let known = false;
    let changed: Entry | null = null;
    for (const entry of this.#entries) {
      if (entry.marker === "@cert-authority" || !matchesNames(entry.names, name)) continue;
      if (entry.marker === "@revoked") {
        if (entry.key === shown) {
          return { verdict: "revoked", file: entry.file, line: entry.line };
        }
      } else if (entry.key === shown) known = true;
      else if (entry.type === type) changed ??= entry;
    }
    if (known) return { verdict: "known" };
    if (changed === null) return { verdict: "unknown" };
    return { verdict: "changed", file: changed.file, line: changed.line, type: changed.type };
  }
}

/** Appends a host's key to `file`, which is created (0600) with its directory (0700) where missing. */
export async function addKnownHost(
  file: string,
  entry: HostKeyQuestion & { hash: boolean },
): Promise<void> {
  const name = knownHostsName(entry.host, entry.port);
  const text = `${entry.hash ? hashName(name, randomBytes(20)) : name} ${keyType(entry.key)} ` +
    `${Buffer.from(entry.key).toString("base64")}\n`;
  await Deno.mkdir(dirname(file), { recursive: true, mode: 0o700 });
  using open = await Deno.open(file, { read: true, append: true, create: true, mode: 0o600 });
  const bytes = new TextEncoder().encode(await lacksNewline(open) ? "\n" + text : text);
  await open.write(bytes); // one call: whole lines even when several clients append at once
}

/** `SHA256:...`, as ssh prints it. */
export function fingerprint(key: Uint8Array): string {
  return "SHA256:" + createHash("sha256").update(key).digest("base64").replace(/=+$/, "");
}

/** The type inside a key's wire form, or "" when it is broken. */
export function keyType(key: Uint8Array): string {
  const buffer = Buffer.from(key.buffer, key.byteOffset, key.byteLength);
  if (buffer.length < 4) return "";
  const length = buffer.readUInt32BE(0);
  if (length > buffer.length - 4) return "";
  return buffer.toString("latin1", 4, 4 + length);
}

/** A host's name as known_hosts has it: lower case, `[host]:port` unless the port is 22. */
export function knownHostsName(host: string, port: number | null): string {
  const name = host.toLowerCase();
  return hasDefaultPort(port) ? name : `[${name}]:${port}`;
}

function hasDefaultPort(port: number | null): boolean {
  return port === null || port === 22;
}

async function lacksNewline(file: Deno.FsFile): Promise<boolean> {
  if ((await file.stat()).size === 0) return false;
  await file.seek(-1, Deno.SeekMode.End);
  const last = new Uint8Array(1);
  await file.read(last);
  return last[0] !== 0x0a;
}

function parse(text: string, file: string): Entry[] {
  const entries: Entry[] = [];
  for (const [index, line] of text.split("\n").entries()) {
    const words = line.trim().split(/\s+/);
    let marker: Entry["marker"] = "";
    if (words[0].startsWith("@")) {
      const word = words.shift()!;
      if (word !== "@revoked" && word !== "@cert-authority") continue;
      marker = word;
    }
    const [names, type, base64] = words;
    if (names === undefined || names === "" || names.startsWith("#") || base64 === undefined) {
      continue;
    }
    const key = Buffer.from(base64, "base64");
    if (keyType(key) !== type) continue;
    entries.push({ file, line: index + 1, marker, names, type, key: key.toString("base64") });
  }
  return entries;
}

/** Whether the first field of an entry covers `name`. One negated match overrules all others. */
function matchesNames(names: string, name: string): boolean {
  if (names.startsWith("|")) {
    const salt = names.split("|")[2];
    return salt !== undefined && names === hashName(name, Buffer.from(salt, "base64"));
  }
  let matched = false;
  for (const pattern of names.toLowerCase().split(",")) {
    if (pattern.startsWith("!")) {
      if (matchesPattern(pattern.slice(1), name)) return false;
    } else if (!matched) matched = matchesPattern(pattern, name);
  }
  return matched;
}

/** ssh's patterns: `*` any text, `?` one character. Linear in the pattern, whatever the text. */
export function matchesPattern(pattern: string, text: string): boolean {
  let p = 0;
  let t = 0;
  let star = -1;
  let mark = 0;
  while (t < text.length) {
    if (p < pattern.length && pattern[p] === "*") {
      star = p++;
      mark = t;
    } else if (p < pattern.length && (pattern[p] === "?" || pattern[p] === text[t])) {
      p++;
      t++;
    } else if (star >= 0) {
      p = star + 1;
      t = ++mark;
    } else return false;
  }
  while (pattern[p] === "*") p++;
  return p === pattern.length;
}

function hashName(name: string, salt: Buffer): string {
  const hash = createHmac("sha1", salt).update(name).digest("base64");
  return `|1|${salt.toString("base64")}|${hash}`;
}
