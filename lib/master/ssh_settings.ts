/**
 * What a connection needs to know about a host, made from ssh_config's keywords. Used by everything in
 * `master/` that connects; `ssh_config.ts` reads the keywords.
 */

import { createHash } from "node:crypto";
import { userInfo } from "node:os";
import { isAbsolute, join } from "node:path";
import { HoldfastError } from "../core/errors.ts";
import { printable } from "../core/printable.ts";
import type { SshOptions } from "../rendezvous/ssh_options.ts";

export type { SshOptions };

/** Keywords in lower case, each with its values as `ssh -G` prints them. */
export type RawConfig = Map<string, string[]>;

export type StrictHostKeyChecking = "yes" | "accept-new" | "ask" | "no";

/** Everything the connection needs, after all resolution. File names are absolute, tokens expanded. */
export interface SshSettings {
  /** The host as it was asked for. */
  host: string;
  /** The name or address to connect to. */
  hostname: string;
  port: number;
  user: string;
  /** The name to look up in known_hosts instead of `hostname`, or null. */
  hostKeyAlias: string | null;
  identityFiles: string[];
  /** Those of `identityFiles` that the user named, so that a missing one is worth a word. */
  namedIdentityFiles: string[];
  identitiesOnly: boolean;
  /** A socket path, `"none"`, `"SSH_AUTH_SOCK"` (the asking client's), or null for the same. */
  identityAgent: string | null;
  certificateFiles: string[];
  userKnownHostsFiles: string[];
  globalKnownHostsFiles: string[];
  strictHostKeyChecking: StrictHostKeyChecking;
  hashKnownHosts: boolean;
  /** ssh's ProxyJump, `[user@]host[:port],...`, or null. */
  proxyJump: string | null;
  /** ssh's ProxyCommand, tokens not yet expanded, or null. */
  proxyCommand: string | null;
  /** Milliseconds, or null for the default. */
  connectTimeout: number | null;
  preferredAuthentications: string[];
  numberOfPasswordPrompts: number;
  passwordAuthentication: boolean;
  kbdInteractiveAuthentication: boolean;
  pubkeyAuthentication: boolean;
  batchMode: boolean;
  ciphers: string[];
  macs: string[];
  kexAlgorithms: string[];
  hostKeyAlgorithms: string[];
  pubkeyAcceptedAlgorithms: string[];
  /** Patterns of names in the client's environment that are sent. */
  sendEnv: string[];
  setEnv: Record<string, string>;
  addressFamily: "any" | "inet" | "inet6";
  bindAddress: string | null;
  /** A password that is tried first, without asking (the relay's init block). */
  password?: string;
  /** The passphrase that is tried first on an encrypted identity. */
  passphrase?: string;
  /** How a jump host is resolved in its turn; the request that made these settings. */
  request: SshRequest;
  /** Every keyword as resolved, lower case, for what has no field of its own. */
  raw: ReadonlyMap<string, readonly string[]>;
}

export interface SshRequest {
  host: string;
  options: SshOptions;
  env: Record<string, string>;
  cwd: string;
}

/** The identity files that ssh tries when none is named. */
export const DEFAULT_IDENTITIES = [
  "~/.ssh/id_rsa",
  "~/.ssh/id_ecdsa",
  "~/.ssh/id_ecdsa_sk",
  "~/.ssh/id_ed25519",
  "~/.ssh/id_ed25519_sk",
  "~/.ssh/id_xmss",
  "~/.ssh/id_dsa",
];

/** Fails with kind `resolve` when a value makes no sense. */
export function settingsFrom(raw: RawConfig, request: SshRequest): SshSettings {
  const one = (key: string) => raw.get(key)?.[0] ?? null;
  const flag = (key: string) => ["yes", "true"].includes(one(key) ?? "");
  const list = (key: string) => (one(key) ?? "").split(",").filter((word) => word !== "");
  const orNull = (key: string) => {
    const value = one(key);
    return value === null || value === "none" ? null : value;
  };
  const number = (key: string, otherwise: number) => {
    const value = orNull(key);
    if (value === null) return otherwise;
    if (/^\d+$/.test(value)) return Number(value);
    const text = `Cannot resolve "${printable(request.host)}": ${key} "${
      printable(value)
    }" is no number`;
    throw new HoldfastError("resolve", text);
  };
  const base = {
    host: request.host,
    hostname: one("hostname") ?? request.host,
    port: number("port", 22),
    user: one("user") ?? userInfo().username,
    hostKeyAlias: orNull("hostkeyalias"),
    proxyJump: orNull("proxyjump"),
  };
  const expand = expander(base, request);
  const files = (names: readonly string[]) =>
    names.filter((name) => name !== "" && name !== "none").map((name) => expand(name));
  const identities = raw.get("identityfile") ?? [];
  const named = request.options.identityFiles ?? []; // ssh -G drops those that do not exist
  const isDefault = identities.every((file) => DEFAULT_IDENTITIES.includes(file));
  const all = [...new Set([...files(named), ...files(identities)])];
  const timeout = number("connecttimeout", 0);
  const agent = one("identityagent");
  return {
    ...base,
    identityFiles: all,
    namedIdentityFiles: isDefault ? files(named) : all,
    identitiesOnly: flag("identitiesonly"),
    identityAgent: agent === null || !/[/~%$]/.test(agent)
      ? agent
      : agentPath(agent, { expand, request }),
    certificateFiles: files(raw.get("certificatefile") ?? []),
    userKnownHostsFiles: files((one("userknownhostsfile") ?? "").split(" ")),
    globalKnownHostsFiles: files((one("globalknownhostsfile") ?? "").split(" ")),
    strictHostKeyChecking: strictness(one("stricthostkeychecking")),
    hashKnownHosts: flag("hashknownhosts"),
    proxyCommand: orNull("proxycommand"),
    connectTimeout: timeout === 0 ? null : timeout * 1000,
    preferredAuthentications: list("preferredauthentications"),
    numberOfPasswordPrompts: number("numberofpasswordprompts", 3),
    passwordAuthentication: flag("passwordauthentication"),
    kbdInteractiveAuthentication: flag("kbdinteractiveauthentication"),
    pubkeyAuthentication: !["no", "false"].includes(one("pubkeyauthentication") ?? "yes"),
    batchMode: flag("batchmode"),
    ciphers: list("ciphers"),
    macs: list("macs"),
    kexAlgorithms: list("kexalgorithms"),
    hostKeyAlgorithms: list("hostkeyalgorithms"),
    pubkeyAcceptedAlgorithms: list("pubkeyacceptedalgorithms"),
    sendEnv: raw.get("sendenv") ?? [],
    setEnv: Object.fromEntries((raw.get("setenv") ?? []).map((pair) => {
      const at = pair.indexOf("=");
      return [pair.slice(0, at), pair.slice(at + 1)];
    })),
    addressFamily: (one("addressfamily") ?? "any") as SshSettings["addressFamily"],
    bindAddress: orNull("bindaddress"),
    request,
    raw,
  };
}

function strictness(value: string | null): StrictHostKeyChecking {
  switch (value) {
    case "yes":
    case "true":
      return "yes";
    case "no":
    case "off":
    case "false":
      return "no";
    case "accept-new":
      return "accept-new";
    default:
      return "ask"; // the safest of those that can still connect
  }
}

/** `IdentityAgent $NAME` means the socket named by that variable. */
function agentPath(
  agent: string,
  { expand, request }: { expand: (text: string) => string; request: SshRequest },
): string {
  const variable = /^\$(\w+)$/.exec(agent);
  return variable === null ? expand(agent) : request.env[variable[1]] ?? "none";
}

/** Expands `~/`, `${NAME}` and ssh_config's tokens (ssh_config(5), TOKENS); a relative path is the client's. */
function expander(
  base: Pick<SshSettings, "host" | "hostname" | "port" | "user" | "hostKeyAlias" | "proxyJump">,
  request: SshRequest,
): (text: string) => string {
  const { homedir, username, uid } = userInfo();
  const local = Deno.hostname();
  const port = String(base.port);
  const jump = base.proxyJump ?? "";
  const hash = () =>
    createHash("sha1").update(local + base.hostname + port + base.user + jump).digest("hex");
  const tokens: Record<string, () => string> = {
    "%": () => "%",
    C: hash,
    d: () => homedir,
    h: () => base.hostname,
    i: () => String(uid),
    j: () => jump,
    k: () => base.hostKeyAlias ?? base.host,
    L: () => local.split(".")[0],
    l: () => local,
    n: () => base.host,
    p: () => port,
    r: () => base.user,
    u: () => username,
  };
  return (text) => {
    const path = text.replace(/^~(?=\/|$)/, homedir)
      .replace(/\$\{(\w+)\}/g, (_, name: string) => {
        const value = request.env[name];
        if (value !== undefined) return value;
        const message = `Cannot expand "${printable(text)}": ${name} is not set`;
        throw new HoldfastError("resolve", message);
      })
      .replace(/%(.?)/g, (_, letter: string) => {
        if (Object.hasOwn(tokens, letter)) return tokens[letter]();
        const message = `Cannot expand "${printable(text)}": unknown token "%${printable(letter)}"`;
        throw new HoldfastError("resolve", message);
      });
    return isAbsolute(path) ? path : join(request.cwd, path);
  };
}
