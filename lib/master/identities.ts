/**
 * The keys a user can show: those of the agent and those in identity files, in ssh's order.
 * Used by `authentication.ts`. Secrets stay inside; only names and types come out.
 */

import { Buffer } from "node:buffer";
import { printable } from "../core/printable.ts";
import { type AnyAuthMethod, BaseAgent, OpenSSHAgent, type ParsedKey, parseKey } from "./ssh2.ts";
import type { SshSettings } from "./ssh_settings.ts";

/** One key to offer. */
export interface Identity {
  /** For messages: the file, or the agent's comment. */
  name: string;
  /** What ssh2 tries. A passphrase is asked only once the host has accepted the public key, where that is possible. */
  method: AnyAuthMethod;
}

export interface IdentityOptions {
  /** The asking client's SSH_AUTH_SOCK. */
  agentSocket?: string;
  /** Resolves with a passphrase for `file`, or null; `attempt` counts from 0. */
  askPassphrase(file: string, attempt: number): Promise<string | null>;
  /** Wraps a wait for an agent's answer, which a person may have to confirm. */
  unhurried<T>(work: Promise<T>): Promise<T>;
  log?(level: "debug" | "info", text: string): void;
}

export interface IdentityList {
  identities: Identity[];
  /** What kept a key that the user named from being used, for the final error. */
  problems: string[];
}

/** Passphrases tried per key. */
const PASSPHRASE_TRIES = 3;
/** Milliseconds that an agent may take to list its keys. */
const AGENT_LIST_DEADLINE = 5_000;

interface FileKey {
  file: string;
  /** Null only when a legacy format hides it until the passphrase is known. */
  publicKey: ParsedKey | null;
  privateKey: ParsedKey | null;
  /** The text of an encrypted key. */
  encrypted: Buffer | null;
}

/**
 * Agent keys that the settings name come first, then the agent's others (unless IdentitiesOnly), then files.
 */
export async function gatherIdentities(
  settings: SshSettings,
  options: IdentityOptions,
): Promise<IdentityList> {
  const problems: string[] = [];
  const files: FileKey[] = [];
  for (const file of settings.identityFiles) {
    const found = await readIdentity(file, settings.namedIdentityFiles.includes(file));
    if (typeof found === "string") problems.push(found);
    else if (found !== null) files.push(found);
  }
  const agent = agentOf(settings, options);
  const agentKeys = agent === null ? [] : await listAgent(agent, options);
  const named: Identity[] = [];
  const others: Identity[] = [];
  const covered = new Set<FileKey>();
  for (const key of agentKeys) {
    const file = files.find((f) => f.publicKey !== null && f.publicKey.equals(key.getPublicSSH()));
    if (file !== undefined) covered.add(file);
    if (file === undefined && settings.identitiesOnly) continue;
    const name = file?.file ?? `agent key ${printable(key.comment || key.type)}`;
    const sign: Sign = (data, hash) =>
      options.unhurried(signWithAgent(agent!, { key, data, hash }));
    (file === undefined ? others : named).push({ name, method: oneKey(settings, key, sign) });
  }
  const identities = [...named, ...others];
  for (const key of files) {
    if (covered.has(key)) continue;
    const identity = await fileIdentity(key, settings, options);
    if (typeof identity === "string") problems.push(identity);
    else identities.push(identity);
  }
  return { identities, problems };
}

/** A key, null when there is silently none, or what is wrong with it. */
async function readIdentity(file: string, explicit: boolean): Promise<FileKey | string | null> {
  let text: Buffer;
  try {
    const info = await Deno.stat(file);
    text = Buffer.from(await Deno.readFile(file));
    if (
      info.mode !== null && (info.mode & 0o077) !== 0 && info.uid === Deno.uid() && isPrivate(text)
    ) {
      return `${printable(file)} is readable by others (chmod 600 it)`;
    }
  } catch (error) {
    if (!explicit) return null;
    if (error instanceof Deno.errors.NotFound) return `${printable(file)} does not exist`;
    return `${printable(file)} cannot be read`;
  }
  const hidden = hiddenPublicKey(text);
  if (hidden !== null) {
    const publicKey = hidden.publicKey ?? await readPublic(`${file}.pub`);
    return { file, publicKey, privateKey: null, encrypted: text };
  }
  const key = firstKey(parseKey(text));
  if (key === null) return explicit ? `${printable(file)} holds no key that ssh2 can use` : null;
  return { file, publicKey: key, privateKey: key.isPrivateKey() ? key : null, encrypted: null };
}

function isPrivate(text: Buffer): boolean {
  return text.includes("PRIVATE KEY");
}

async function readPublic(file: string): Promise<ParsedKey | null> {
  try {
    return firstKey(parseKey(Buffer.from(await Deno.readFile(file))));
  } catch {
    return null;
  }
}

function firstKey(parsed: ParsedKey | ParsedKey[] | Error): ParsedKey | null {
  if (parsed instanceof Error) return null;
  const key = Array.isArray(parsed) ? parsed[0] ?? null : parsed;
  return key !== null && key.isPrivateKey() && key.type.startsWith("ecdsa-")
    ? repairEcdsa(key)
    : key;
}

/**
 * ssh2 copies an OpenSSH key's secret number into SEC 1 with the sign byte that half of all keys carry; Deno
 * refuses such a key. SEC 1 (RFC 5915): SEQUENCE { INTEGER 1, OCTET STRING secret, ... }, the secret as long as the field.
 */
function repairEcdsa(key: ParsedKey): ParsedKey {
  const size = { "256": 32, "384": 48, "521": 66 }[key.type.slice(-3)] ?? 0;
  const der = Buffer.from(key.getPrivatePEM().replace(/-----[^-]*-----|\s/g, ""), "base64");
  const header = der[1] < 0x80 ? 2 : 2 + (der[1] & 0x7f);
  const length = der[header + 4]; // after INTEGER 1 (3 bytes) and the string's tag
  if (length === size || der[header + 3] !== 0x04 || length > size + 1) return key;
  const start = header + 5;
  const secret = Buffer.alloc(size);
  const number = der.subarray(start, start + length);
  number.subarray(Math.max(0, length - size)).copy(secret, Math.max(0, size - length));
  const body = Buffer.concat([
    der.subarray(header, header + 4),
    Buffer.from([size]),
    secret,
    der.subarray(start + length),
  ]);
  const prefix = body.length < 0x80 ? [0x30, body.length] : [0x30, 0x81, body.length];
  const text = Buffer.concat([Buffer.from(prefix), body]).toString("base64").match(/.{1,64}/g)!;
  const pem = `-----BEGIN EC PRIVATE KEY-----\n${text.join("\n")}\n-----END EC PRIVATE KEY-----\n`;
  const repaired = parseKey(pem);
  return repaired instanceof Error || Array.isArray(repaired) ? key : repaired;
}

/** Null for a key that is not encrypted; else its public half where the format shows it. */
function hiddenPublicKey(text: Buffer): { publicKey: ParsedKey | null } | null {
  const pem = text.toString("latin1");
  if (/^Proc-Type: 4,ENCRYPTED/m.test(pem)) return { publicKey: null };
  const match = /-----BEGIN OPENSSH PRIVATE KEY-----([\s\S]*?)-----END/.exec(pem);
  if (match === null) return null;
  // "openssh-key-v1\0", then strings: cipher, kdf, kdf options; u32 count; string public key (PROTOCOL.key)
  const body = Buffer.from(match[1], "base64");
  let at = 15;
  const next = () => {
    const length = body.readUInt32BE(at);
    at += 4 + length;
    return body.subarray(at - length, at);
  };
  try {
    if (next().toString("latin1") === "none") return null;
    next();
    next();
    at += 4;
    return { publicKey: firstKey(parseKey(Buffer.from(next()))) };
  } catch {
    return { publicKey: null };
  }
}

async function fileIdentity(
  key: FileKey,
  settings: SshSettings,
  options: IdentityOptions,
): Promise<Identity | string> {
  const name = printable(key.file);
  if (key.encrypted === null) {
    if (key.privateKey === null) return `${name} is a public key, and no agent has the private one`;
    return { name, method: { type: "publickey", username: settings.user, key: key.privateKey } };
  }
  const unlock = () => unlockKey(key, settings, options);
  if (key.publicKey !== null) {
    const sign: Sign = async (data, hash) => (await unlock()).sign(data, hash);
    return { name, method: oneKey(settings, key.publicKey, sign) };
  }
  try {
    return { name, method: { type: "publickey", username: settings.user, key: await unlock() } };
  } catch {
    return `${name} could not be decrypted`;
  }
}

async function unlockKey(
  { file, encrypted }: FileKey,
  settings: SshSettings,
  options: IdentityOptions,
): Promise<ParsedKey> {
  const attempt = (passphrase: string) => {
    const key = firstKey(parseKey(encrypted!, passphrase));
    return key?.isPrivateKey() ? key : null;
  };
  if (settings.passphrase !== undefined) {
    const key = attempt(settings.passphrase);
    if (key !== null) return key;
  }
  for (let tries = 0; tries < PASSPHRASE_TRIES; tries++) {
    const passphrase = await options.askPassphrase(file, tries);
    if (passphrase === null || passphrase === "") break;
    const key = attempt(passphrase);
    if (key !== null) return key;
  }
  throw new Error("no passphrase fits");
}

function agentOf(settings: SshSettings, options: IdentityOptions): OpenSSHAgent | null {
  const wanted = settings.identityAgent;
  const path = wanted === null || wanted === "SSH_AUTH_SOCK" ? options.agentSocket : wanted;
  if (path === undefined || path === "" || path === "none") return null;
  return new OpenSSHAgent(path);
}

function listAgent(agent: OpenSSHAgent, options: IdentityOptions): Promise<ParsedKey[]> {
  return new Promise((resolve) => {
    const skip = (reason: string) => {
      clearTimeout(timer);
      options.log?.("info", `Going on without the ssh agent: ${printable(reason)}`);
      resolve([]);
    };
    const timer = setTimeout(() => skip("it does not answer"), AGENT_LIST_DEADLINE);
    agent.getIdentities((error, keys) => {
      if (error) return skip(error.message);
      clearTimeout(timer);
      resolve((keys ?? []).map(toParsed).filter((key) => key !== null));
    });
  });
}

function toParsed(key: unknown): ParsedKey | null {
  return firstKey(parseKey(key as Buffer));
}

function signWithAgent(
  agent: OpenSSHAgent,
  { key, data, hash }: { key: ParsedKey; data: Buffer; hash: string | undefined },
): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const options = hash === undefined ? {} : { hash: hash as "sha256" };
    agent.sign(key, data, options, (error, signature) => {
      if (error) reject(error);
      else resolve(signature as Buffer);
    });
  });
}

type Sign = (data: Buffer, hash: string | undefined) => Promise<Buffer>;

/** A method that offers exactly `key` and calls `sign` once the host has accepted it. */
function oneKey(settings: SshSettings, key: ParsedKey, sign: Sign): AnyAuthMethod {
  return { type: "agent", username: settings.user, agent: new OneKeyAgent(key, sign) };
}

class OneKeyAgent extends BaseAgent<ParsedKey> {
  #key: ParsedKey;
  #sign: Sign;

  constructor(key: ParsedKey, sign: Sign) {
    super();
    this.#key = key;
    this.#sign = sign;
  }

  override getIdentities(done: (error: undefined, keys: ParsedKey[]) => void): void {
    done(undefined, [this.#key]);
  }

  override sign(_key: ParsedKey, data: Buffer, ...rest: unknown[]): void {
    const done = rest.at(-1) as (error: Error | undefined, signature?: Buffer) => void;
    const hash = rest.length > 1 ? (rest[0] as { hash?: string }).hash : undefined;
    this.#sign(data, hash).then(
      (signature) => signature instanceof Error ? done(signature) : done(undefined, signature),
      (error: Error) => done(error),
    );
  }
}
