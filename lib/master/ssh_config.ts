/**
 * What a connection needs to know about a host, and how it is read from ssh_config through `ssh -G`.
 * Used by `ssh_resolver.ts` (which caches) and by everything in `master/` that takes {@linkcode SshSettings}.
 */

import { HoldfastError } from "../core/errors.ts";
import { printable } from "../core/printable.ts";

/** ssh's own options, as the user gave them. */
export interface SshOptions {
  /** `-F` */
  configFile?: string;
  /** `-i`, in order */
  identityFiles?: string[];
  /** `-p` */
  port?: number;
  /** `-l`, or the user part of the TARGET */
  user?: string;
  /** `-J` */
  jump?: string;
  /** `-o`, each `Name=value` */
  options?: string[];
}

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
  /** Whether the identity files were named by the user, so that a missing one is worth a word. */
  identitiesExplicit: boolean;
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
  compression: boolean;
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

/** Where a resolution happens. */
export interface SshContext {
  env: Record<string, string>;
  cwd: string;
  signal?: AbortSignal;
}

export interface SshRequest {
  host: string;
  options: SshOptions;
  env: Record<string, string>;
  cwd: string;
}

/** Resolves `host` as ssh would. Fails with kind `usage` (bad words) or `resolve` (ssh_config is broken). */
export async function resolveSsh(
  host: string,
  options: SshOptions,
  context: SshContext,
): Promise<SshSettings> {
  checkWords(host, options);
  const args = ["-G"];
  if (options.configFile !== undefined) args.push("-F", options.configFile);
  for (const file of options.identityFiles ?? []) args.push("-i", file);
  if (options.port !== undefined) args.push("-p", String(options.port));
  if (options.user !== undefined) args.push("-l", options.user);
  if (options.jump !== undefined) args.push("-J", options.jump);
  for (const option of options.options ?? []) args.push("-o", option);
  args.push("--", host);
  const command = new Deno.Command("ssh", {
    args,
    cwd: context.cwd,
    env: context.env,
    clearEnv: true,
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
    signal: context.signal,
  });
  const output = await command.output();
  const decoder = new TextDecoder();
  if (!output.success) {
    const reason = printable(decoder.decode(output.stderr).trim());
    throw new HoldfastError("resolve", `Cannot resolve "${printable(host)}": ${reason}`);
  }
  const raw = new Map<string, string[]>();
  for (const line of decoder.decode(output.stdout).split("\n")) {
    const space = line.indexOf(" ");
    if (space < 0) continue;
    const key = line.slice(0, space);
    const list = raw.get(key) ?? [];
    raw.set(key, list);
    list.push(line.slice(space + 1));
  }
  return settingsFrom(raw, { host, options, env: context.env, cwd: context.cwd });
}

function settingsFrom(raw: Map<string, string[]>, request: SshRequest): SshSettings {
  const one = (key: string) => raw.get(key)?.[0] ?? null;
  const flag = (key: string) => ["yes", "true"].includes(one(key) ?? "");
  const list = (key: string) => (one(key) ?? "").split(",").filter((word) => word !== "");
  const orNull = (key: string) => {
    const value = one(key);
    return value === null || value === "none" ? null : value;
  };
  const home = Deno.env.get("HOME") ?? "/";
  const path = (text: string) => text.startsWith("~/") ? home + text.slice(1) : text;
  const paths = (key: string) => (one(key) ?? "").split(" ").filter((p) => p !== "").map(path);
  const strict = one("stricthostkeychecking");
  const timeout = orNull("connecttimeout");
  return {
    host: request.host,
    hostname: one("hostname") ?? request.host,
    port: Number(one("port") ?? 22),
    user: one("user") ?? "",
    hostKeyAlias: orNull("hostkeyalias"),
    identityFiles: (raw.get("identityfile") ?? []).map(path),
    identitiesExplicit: (request.options.identityFiles ?? []).length > 0,
    identitiesOnly: flag("identitiesonly"),
    identityAgent: one("identityagent"),
    certificateFiles: raw.get("certificatefile") ?? [],
    userKnownHostsFiles: paths("userknownhostsfile"),
    globalKnownHostsFiles: paths("globalknownhostsfile"),
    strictHostKeyChecking: strict === "true" || strict === "yes"
      ? "yes"
      : strict === "false" || strict === "no" || strict === "off"
      ? "no"
      : strict === "accept-new"
      ? "accept-new"
      : "ask",
    hashKnownHosts: flag("hashknownhosts"),
    proxyJump: orNull("proxyjump"),
    proxyCommand: orNull("proxycommand"),
    connectTimeout: timeout === null ? null : Number(timeout) * 1000,
    preferredAuthentications: list("preferredauthentications"),
    numberOfPasswordPrompts: Number(one("numberofpasswordprompts") ?? 3),
    passwordAuthentication: flag("passwordauthentication"),
    kbdInteractiveAuthentication: flag("kbdinteractiveauthentication"),
    pubkeyAuthentication: one("pubkeyauthentication") !== "no",
    batchMode: flag("batchmode"),
    ciphers: list("ciphers"),
    macs: list("macs"),
    kexAlgorithms: list("kexalgorithms"),
    hostKeyAlgorithms: list("hostkeyalgorithms"),
    pubkeyAcceptedAlgorithms: list("pubkeyacceptedalgorithms"),
    compression: flag("compression"),
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

function checkWords(host: string, options: SshOptions): void {
  if (host === "" || host.startsWith("-")) {
    throw new HoldfastError(
      "usage",
      `Cannot use host "${printable(host)}": a host name never begins with "-"`,
    );
  }
  if (options.user !== undefined && (options.user === "" || options.user.startsWith("-"))) {
    throw new HoldfastError(
      "usage",
      `Cannot use user "${printable(options.user)}": a user name never begins with "-"`,
    );
  }
}
