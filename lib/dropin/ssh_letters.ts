/**
 * ssh's options, one entry for each letter, as OpenSSH 9 and 10 know them: what becomes of it here, and what it does
 * to the request. For `ssh_command_line.ts`.
 */
import { readConfigLine } from "./config_line.ts";
import {
  readDynamicForward,
  readLocalForward,
  readRemoteForward,
  readStdioForward,
} from "./forward_spec.ts";
import { applyKeyword } from "./ssh_keywords.ts";
import {
  CONTROL_COMMANDS,
  type Draft,
  LOG_LEVELS,
  type LogLevel,
  type SessionType,
  type SshRequest,
} from "./ssh_request.ts";
import { readEscape, readPort } from "./ssh_values.ts";
import { WrongWords } from "./wrong_words.ts";

export interface SshLetter {
  /** The name of its value, for the usage. Absent: a flag. */
  value?: string;
  /**
   * - `honoured`: it does what it does in ssh.
   * - `accepted`: it cannot change what a session does here, and is passed over.
   * - `system`: only the system's ssh can carry it out.
   */
  fate: "honoured" | "accepted" | "system";
  apply?(draft: Draft, value: string): void;
}

const ACCEPTED: SshLetter = { fate: "accepted" };

function flag(apply: (draft: Draft) => void): SshLetter {
  return { fate: "honoured", apply };
}

function valued(value: string, apply: (draft: Draft, value: string) => void): SshLetter {
  return { value, fate: "honoured", apply };
}

/** Left to the system's ssh. */
function system(letter: string, value?: string): SshLetter {
  return {
    value,
    fate: "system",
    apply: (draft) => void (draft.beyond ??= `-${letter}`),
  };
}

/** For what wins over an `-o` that came before it, too. */
function overriding(keyword: string, value: string): SshLetter {
  return valued(value, ({ ssh }, text) => void ssh.options.unshift(`${keyword}=${text}`));
}

export const SSH_LETTERS: Readonly<Record<string, SshLetter>> = {
  1: flag(() => {
    throw new WrongWords("SSH protocol v.1 is no longer supported");
  }),
  2: ACCEPTED,
  4: flag(({ ssh }) => void ssh.options.unshift("AddressFamily=inet")),
  6: flag(({ ssh }) => void ssh.options.unshift("AddressFamily=inet6")),
  A: flag((draft) => void (draft.agent = true)),
  a: flag((draft) => void (draft.agent = false)),
  // What a session carries is not changed by it, and one connection serves those with and those without.
  C: ACCEPTED,
  f: flag((draft) => {
    draft.background = true;
    draft.noInput = true;
  }),
  G: flag((draft) => void (draft.printsConfig = true)),
  g: flag((draft) => void (draft.gatewayPorts = true)),
  K: system("K"),
  k: ACCEPTED,
  M: ACCEPTED,
  N: flag((draft) => {
    setSession(draft, "none");
    draft.terminal = "no";
  }),
  n: flag((draft) => void (draft.noInput = true)),
  q: flag((draft) => void (draft.logLevel = "QUIET")),
  s: flag((draft) => setSession(draft, "subsystem")),
  T: flag((draft) => void (draft.terminal = "no")),
  t: flag((draft) => {
    draft.terminal = draft.terminal === "yes" ? "force" : "yes";
  }),
  V: { fate: "system" },
  v: flag((draft) => void (draft.logLevel = moreVerbose(draft.logLevel))),
  X: { fate: "system", apply: (draft) => void (draft.x11 = true) },
  x: flag((draft) => void (draft.x11 = false)),
  Y: { fate: "system", apply: (draft) => void (draft.x11 = true) },
  y: ACCEPTED,
  B: system("B", "interface"),
  b: overriding("BindAddress", "address"),
  c: overriding("Ciphers", "ciphers"),
  D: valued("[address:]port", (draft, value) => {
    addForward(draft, readDynamicForward(value), `Bad dynamic forwarding specification '${value}'`);
  }),
  E: valued("log_file", (draft, value) => void (draft.logFile = value)),
  e: valued("escape_char", (draft, value) => {
    const escape = readEscape(value);
    if (escape === undefined) throw new WrongWords(`Bad escape character '${value}'.`);
    draft.escape = escape;
  }),
  F: valued("config_file", ({ ssh }, value) => void (ssh.configFile = value)),
  I: system("I", "pkcs11"),
  i: valued("identity_file", ({ ssh }, value) => void ssh.identityFiles.push(value)),
  J: valued("[user@]host[:port]", (draft, value) => {
    if (draft.ssh.jump !== undefined || draft.proxy === "jump") {
      throw new WrongWords(
        "Only a single -J option is permitted (use commas to separate multiple jump hops)",
      );
    }
    if (draft.proxy === "command") throw new WrongWords("Cannot specify -J with ProxyCommand");
    if (value.split(",").some((hop) => !/^[^\s,]+$/.test(hop) || /^-|@$|^@/.test(hop))) {
      throw new WrongWords("Invalid -J argument");
    }
    draft.ssh.jump = value;
  }),
  L: valued("address", (draft, value) => {
    addForward(draft, readLocalForward(value), `Bad local forwarding specification '${value}'`);
  }),
  l: valued("login_name", ({ ssh }, value) => void (ssh.user ??= value)),
  m: overriding("MACs", "macs"),
  O: valued("ctl_cmd", (draft, value) => {
    if (draft.stdio) throw new WrongWords("Cannot specify multiplexing command with -W");
    if (draft.control) throw new WrongWords("Multiplexing command already specified");
    draft.control = CONTROL_COMMANDS.find((name) => name === value);
    if (!draft.control) throw new WrongWords("Invalid multiplex command.");
  }),
  o: valued("option", (draft, value) => {
    const line = readConfigLine(value);
    if (!line) return;
    if (line.arguments.length === 0) {
      throw new WrongWords(`command-line line 0: no argument after keyword "${line.keyword}"`);
    }
    applyKeyword(draft, line);
  }),
  P: valued("tag", ({ ssh }, value) => void ssh.options.push(`Tag=${value}`)),
  p: valued("port", ({ ssh }, value) => {
    if (ssh.port !== undefined) return;
    ssh.port = readPort(value);
    if (ssh.port === undefined) throw new WrongWords(`Bad port '${value}'`);
  }),
  Q: { value: "query_option", fate: "system" },
  R: valued("address", (draft, value) => {
    addForward(draft, readRemoteForward(value), `Bad remote forwarding specification '${value}'`);
  }),
  S: valued("ctl_path", (draft, value) => void (draft.controlPath = value)),
  W: valued("host:port", (draft, value) => {
    if (draft.stdio) throw new WrongWords("stdio forward already specified");
    if (draft.control) throw new WrongWords("Cannot specify stdio forward with -O");
    draft.stdio = readStdioForward(value) ?? undefined;
    if (!draft.stdio) throw new WrongWords(`Bad stdio forwarding specification '${value}'`);
    draft.terminal = "no";
    draft.session = "none";
  }),
  w: system("w", "tunnel"),
};

function setSession(draft: Draft, type: SessionType): void {
  if (draft.session !== undefined && draft.session !== type) {
    const [mine, other] = type === "none" ? ["-N", "-s"] : ["-s", "-N"];
    throw new WrongWords(`Cannot specify ${mine} with ${other}/SessionType`);
  }
  draft.session = type;
}

function addForward(
  draft: Draft,
  forward: SshRequest["forwards"][number] | null,
  otherwise: string,
): void {
  if (!forward) throw new WrongWords(otherwise);
  draft.forwards.push(forward);
}

function moreVerbose(level: LogLevel | undefined): LogLevel {
  if (!level?.startsWith("DEBUG")) return "DEBUG1";
  return LOG_LEVELS[Math.min(LOG_LEVELS.indexOf(level) + 1, LOG_LEVELS.length - 1)];
}
