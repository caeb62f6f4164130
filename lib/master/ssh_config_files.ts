/**
 * ssh_config's files read by ourselves: which files count (for the cache in `ssh_resolver.ts`), and their
 * resolution through the npm package ssh-config where no ssh is installed (for `ssh_config.ts`).
 */

import { GUARD } from "../rendezvous/ssh_config_guard.ts";
import { userInfo } from "node:os";
import { dirname, isAbsolute, join } from "node:path";
import SshConfig from "ssh-config";
import { HoldfastError } from "../core/errors.ts";
import { printable } from "../core/printable.ts";
import { SUPPORTED } from "../rendezvous/supported_algorithms.ts";
import { DEFAULT_IDENTITIES, type RawConfig, type SshOptions } from "./ssh_settings.ts";

/** What a resolution depends on besides the words of the request. */
export interface ConfigSources {
  /** Every file read or looked for, and every directory in which an Include looked. */
  paths: string[];
  /** Whether the result may change while the files do not (`Match exec`, canonicalisation, odd Includes). */
  isVolatile: boolean;
  /** Environment variables that the files mention. */
  variables: string[];
}

interface Loading extends ConfigSources {
  /** All lines in order, Includes replaced by what they name. */
  lines: string[];
}

/** How deep Includes may nest, as in OpenSSH. */
const INCLUDE_DEPTH = 16;
const SYSTEM_CONFIG = "/etc/ssh/ssh_config";

/** Finds what ssh would read for `options`. Missing files count: they may appear. */
export async function configSources(options: SshOptions): Promise<ConfigSources> {
  const { paths, isVolatile, variables } = await load(options);
  return { paths, isVolatile, variables };
}

/**
 * Resolves `host` without ssh. Fails with kind `usage` for an unknown -o, `resolve` for a missing -F.
 * Differs from OpenSSH: `Match exec` never matches, names are not canonicalised, unknown keywords in files are ignored.
 */
export async function readConfigFiles(host: string, options: SshOptions): Promise<RawConfig> {
  if (options.configFile !== undefined && options.configFile !== "none") {
    await Deno.stat(options.configFile).catch((cause) => {
      const text = `Cannot resolve "${host}": cannot open ${printable(options.configFile!)} (-F)`;
      throw new HoldfastError("resolve", text, { cause });
    });
  }
  const { lines } = await load(options);
  const config = SshConfig.parse([...wordsAsLines(options), "Host *", ...lines].join("\n"));
  const found = config.compute({ Host: host, User: options.user }, {
    ignoreCase: true,
    matchExec: false,
  }) as Record<string, string | string[]>;
  return asDump(host, found);
}

/** The user's options win because ssh_config's first value wins. */
function wordsAsLines(options: SshOptions): string[] {
  const lines: string[] = [];
  if (options.port !== undefined) lines.push(`Port ${options.port}`);
  for (const file of options.identityFiles ?? []) lines.push(`IdentityFile "${file}"`);
  if (options.jump !== undefined) lines.push(`ProxyJump ${options.jump}`);
  for (const option of options.options ?? []) {
    const keyword = /^\s*(\w+)/.exec(option)![1];
    if (!KEYWORDS.has(keyword.toLowerCase())) {
      throw new HoldfastError("usage", `Cannot use -o ${printable(option)}: unknown keyword`);
    }
    lines.push(option.trim());
  }
  return lines;
}

/** Makes `compute`'s answer look like `ssh -G`'s, with the defaults that the connection needs. */
function asDump(host: string, found: Record<string, string | string[]>): RawConfig {
  const raw: RawConfig = new Map();
  for (const [key, value] of Object.entries(found)) {
    const values = Array.isArray(value) ? value : [value];
    const repeats = REPEATED.has(key);
    raw.set(key, repeats ? values.flatMap((text) => text.split(/\s+/)) : [values.join(" ")]);
  }
  const { username } = userInfo();
  const hostname = (raw.get("hostname")?.[0] ?? host).replace(
    /%(.)/g,
    (_, c) => c === "h" ? host : c,
  );
  const defaults: Record<string, string[]> = {
    user: [username],
    port: ["22"],
    identityfile: DEFAULT_IDENTITIES,
    userknownhostsfile: ["~/.ssh/known_hosts ~/.ssh/known_hosts2"],
    globalknownhostsfile: ["/etc/ssh/ssh_known_hosts /etc/ssh/ssh_known_hosts2"],
    stricthostkeychecking: ["ask"],
    passwordauthentication: ["yes"],
    kbdinteractiveauthentication: ["yes"],
    pubkeyauthentication: ["yes"],
    numberofpasswordprompts: ["3"],
    addressfamily: ["any"],
  };
  for (const [key, value] of Object.entries(defaults)) if (!raw.has(key)) raw.set(key, value);
  raw.set("hostname", [hostname]);
  const timeout = raw.get("connecttimeout")?.[0];
  if (timeout !== undefined) raw.set("connecttimeout", [seconds(timeout)]);
  for (const [key, usual] of Object.entries(USUAL_ALGORITHMS)) {
    raw.set(key, [algorithms(raw.get(key)?.[0] ?? "", usual).join(",")]);
  }
  return raw;
}

/** Applies ssh_config's `+`, `-` and `^` prefixes to the usual list. */
function algorithms(wanted: string, usual: readonly string[]): string[] {
  const names = wanted.replace(/^[+^-]/, "").split(",").filter((name) => name !== "");
  switch (wanted[0]) {
    case undefined:
      return [...usual];
    case "+":
      return [...usual, ...names.filter((name) => !usual.includes(name))];
    case "^":
      return [...names, ...usual.filter((name) => !names.includes(name))];
    case "-":
      return usual.filter((name) => !names.includes(name));
    default:
      return names;
  }
}

/** sshd_config(5)'s time formats (`1m30s`) in seconds; anything else unchanged. */
function seconds(text: string): string {
  if (!/^(\d+[smhdw]?)+$/i.test(text)) return text;
  const units: Record<string, number> = { s: 1, m: 60, h: 3600, d: 86400, w: 604800 };
  let sum = 0;
  for (const [, count, unit] of text.matchAll(/(\d+)([smhdw]?)/gi)) {
    sum += Number(count) * units[unit.toLowerCase() || "s"];
  }
  return String(sum);
}

async function load(options: SshOptions): Promise<Loading> {
  const { homedir } = userInfo();
  const loading: Loading = { lines: [], paths: [], isVolatile: false, variables: [] };
  const note = (text: string) => noteVariables(loading, text);
  for (const option of options.options ?? []) note(option);
  if (options.configFile === "none") return loading;
  const userDirectory = join(homedir, ".ssh");
  const userFile = options.configFile ?? join(userDirectory, "config");
  await loadFile(userFile, { loading, base: userDirectory, depth: 0, header: "Host *" });
  if (options.configFile === undefined) {
    loading.lines.push("Host *");
    await loadFile(SYSTEM_CONFIG, {
      loading,
      base: dirname(SYSTEM_CONFIG),
      depth: 0,
      header: "Host *",
    });
  }
  return loading;
}

interface Place {
  loading: Loading;
  /** Where relative Includes are looked for. */
  base: string;
  depth: number;
  /** The Host or Match line that is in force. */
  header: string;
}

async function loadFile(path: string, place: Place): Promise<void> {
  const { loading, base, depth } = place;
  loading.paths.push(path);
  const text = await Deno.readTextFile(path).catch(() => "");
  noteVariables(loading, text);
  let { header } = place;
  for (const line of text.split(/\r?\n/)) {
    const [, keyword = "", rest = ""] = /^\s*(\w+)[\s=]*(.*)$/.exec(line) ?? [];
    const word = keyword.toLowerCase();
    if (word === "include") {
      if (depth === INCLUDE_DEPTH) continue;
      for (const pattern of rest.match(/"[^"]*"|\S+/g) ?? []) {
        for (const file of await included(pattern.replaceAll('"', ""), base, loading)) {
          await loadFile(file, { loading, base, depth: depth + 1, header });
          loading.lines.push(header);
        }
      }
      continue;
    }
    if (word === "host" || word === "match") header = line;
    // Of our own lines the answer is always the same.
    const asks = /\b(exec|localnetwork)\b/i.test(rest.replace(GUARD, ""));
    if (word === "match" && asks) loading.isVolatile = true;
    if (word === "canonicalizehostname" && !/^"?no/i.test(rest)) loading.isVolatile = true;
    loading.lines.push(line);
  }
}

function noteVariables(loading: Loading, text: string): void {
  for (const [, name] of text.matchAll(/\$\{(\w+)\}/g)) loading.variables.push(name);
  for (const [, name] of text.matchAll(/^\s*IdentityAgent[\s="]+\$(\w+)/gim)) {
    loading.variables.push(name);
  }
}

/** The files that an Include pattern names now, sorted as glob(3) does. */
async function included(pattern: string, base: string, loading: Loading): Promise<string[]> {
  if (/^~[^/]|[%$]/.test(pattern)) {
    loading.isVolatile = true; // another user's home, tokens: only ssh itself knows
    return [];
  }
  const path = pattern.replace(/^~(?=\/)/, userInfo().homedir);
  const parts = (isAbsolute(path) ? path : join(base, path)).split("/");
  let found = [""];
  for (const part of parts.slice(1)) {
    if (!/[*?[]/.test(part)) {
      found = found.map((directory) => `${directory}/${part}`);
      continue;
    }
    const next: string[] = [];
    for (const directory of found) {
      loading.paths.push(directory || "/");
      const names = await namesIn(directory || "/");
      next.push(...names.filter(globTest(part)).sort().map((name) => `${directory}/${name}`));
    }
    found = next;
  }
  return found;
}

async function namesIn(directory: string): Promise<string[]> {
  try {
    return (await Array.fromAsync(Deno.readDir(directory))).map((entry) => entry.name);
  } catch {
    return [];
  }
}

function globTest(part: string): (name: string) => boolean {
  const source = part.replace(/[.+^${}()|\\]/g, "\\$&").replaceAll("*", ".*").replaceAll("?", ".")
    .replaceAll("[!", "[^");
  const hidden = part.startsWith(".");
  try {
    const regex = new RegExp(`^${source}$`);
    return (name) => regex.test(name) && (hidden || !name.startsWith("."));
  } catch {
    return (name) => name === part;
  }
}

/** Keywords whose values add up. */
const REPEATED = new Set(["identityfile", "certificatefile", "sendenv", "setenv"]);

const strong = (names: readonly string[]) => names.filter((name) => !/sha1$|^ssh-rsa$/.test(name));

/** What is offered when ssh_config says nothing; SHA-1 only where it is asked for. */
const USUAL_ALGORITHMS: Record<string, readonly string[]> = {
  ciphers: SUPPORTED.cipher,
  macs: strong(SUPPORTED.hmac),
  kexalgorithms: strong(SUPPORTED.kex),
  hostkeyalgorithms: strong(SUPPORTED.serverHostKey),
};

/** ssh_config(5), so that a misspelt -o is found. */
const KEYWORDS = new Set(
  `addkeystoagent addressfamily batchmode bindaddress bindinterface canonicaldomains canonicalizefallbacklocal
  canonicalizehostname canonicalizemaxdots canonicalizepermittedcnames casignaturealgorithms certificatefile
  challengeresponseauthentication channeltimeout checkhostip ciphers clearallforwardings compression
  connectionattempts connecttimeout controlmaster controlpath controlpersist dynamicforward
  enableescapecommandline enablesshkeysign escapechar exitonforwardfailure fingerprinthash
  forkafterauthentication forwardagent forwardx11 forwardx11timeout forwardx11trusted gatewayports
  globalknownhostsfile gssapiauthentication gssapidelegatecredentials hashknownhosts
  hostbasedacceptedalgorithms hostbasedauthentication hostkeyalgorithms hostkeyalias hostname identitiesonly
  identityagent identityfile ignoreunknown ipqos kbdinteractiveauthentication kbdinteractivedevices
  kexalgorithms knownhostscommand localcommand localforward loglevel logverbose macs
  nohostauthenticationforlocalhost numberofpasswordprompts obscurekeystroketiming passwordauthentication
  permitlocalcommand permitremoteopen pkcs11provider port preferredauthentications proxycommand proxyjump
  proxyusefdpass pubkeyacceptedalgorithms pubkeyauthentication rekeylimit remotecommand remoteforward requesttty
  requiredrsasize revokedhostkeys securitykeyprovider sendenv serveralivecountmax serveraliveinterval
  sessiontype setenv stdinnull streamlocalbindmask streamlocalbindunlink stricthostkeychecking syslogfacility
  tag tcpkeepalive tunnel tunneldevice updatehostkeys user userknownhostsfile verifyhostkeydns visualhostkey
  xauthlocation`.split(/\s+/),
);
