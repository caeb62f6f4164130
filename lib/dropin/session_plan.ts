/** What a session is to be, from the command line and from what ssh_config says beyond it. Pure; for `ssh_session.ts`. */
import { configuredForwards, FORWARD_KEYWORDS } from "./configured_forwards.ts";
import type { Endpoint, Forward } from "./forward_spec.ts";
import type { LogLevel, SshRequest } from "./ssh_request.ts";
import { isYes, logLevel, readEscape, sessionType, terminalWish } from "./ssh_values.ts";
import { WrongWords } from "./wrong_words.ts";

/** Of ssh_config, what a session is made of. The daemon resolves them, with `-o`. */
export const SESSION_KEYWORDS = [
  ...FORWARD_KEYWORDS,
  "clearallforwardings",
  "escapechar",
  "exitonforwardfailure",
  "forkafterauthentication",
  "forwardagent",
  "gatewayports",
  "loglevel",
  "remotecommand",
  "requesttty",
  "sendenv",
  "sessiontype",
  "setenv",
  "stdinnull",
  "streamlocalbindunlink",
] as const;

export type Work =
  | { kind: "none" }
  /** Our standard streams are joined to what the other side connects to. */
  | { kind: "stdio"; endpoint: Endpoint }
  | { kind: "shell" }
  | { kind: "command"; line: string }
  | { kind: "subsystem"; name: string };

export interface SessionPlan {
  work: Work;
  terminal: boolean;
  /** A terminal was wanted, and standard input is none. */
  lacksTerminal: boolean;
  /** False: the command gets no standard input. */
  input: boolean;
  background: boolean;
  agent: boolean;
  escape: string | null;
  /** The command line's, and ssh_config's behind them. */
  forwards: Forward[];
  /** Those that listen here and name no address listen on all. */
  gatewayPorts: boolean;
  /** Their Unix sockets take the place of earlier ones. */
  unlinkSockets: boolean;
  /** A forward that cannot be set up ends everything. */
  needsForwards: boolean;
  level: LogLevel;
  env: Record<string, string>;
}

export interface PlanContext {
  /** By name in lower case, as `ssh -G` prints them. */
  keywords: Readonly<Record<string, readonly string[]>>;
  /** Standard input is a terminal. */
  onTerminal: boolean;
  /** This process's. */
  environment: Readonly<Record<string, string>>;
}

/**
 * Plans it.
 *
 * @throws {WrongWords} where command line and ssh_config contradict each other
 */
export function planSession(request: SshRequest, context: PlanContext): SessionPlan {
  const one = (name: typeof SESSION_KEYWORDS[number]) => context.keywords[name]?.[0];
  const background = request.background ?? isYes(one("forkafterauthentication"));
  const input = !background && !(request.noInput ?? isYes(one("stdinnull")));
  const work = workOf(request, one);
  if (background && work.kind === "shell") {
    throw new WrongWords("Cannot fork into background without a command to execute.");
  }
  const wish = request.terminal ?? terminalWish(one("requesttty")) ?? "auto";
  const wanted = wish === "auto" ? work.kind === "shell" : wish !== "no";
  const runs = work.kind !== "none" && work.kind !== "stdio";
  const terminal = wanted && runs &&
    (wish === "force" || (context.onTerminal && input));
  const escape = request.escape !== undefined
    ? request.escape
    : readEscape(one("escapechar") ?? "~");
  const forwardAgent = one("forwardagent") ?? "no";
  return {
    work,
    terminal,
    lacksTerminal: wanted && !terminal && runs,
    input,
    background,
    agent: request.agent ?? !/^(no|false)$/.test(forwardAgent),
    escape: escape ?? null,
    forwards: forwardsOf(request, context, one("clearallforwardings")),
    gatewayPorts: request.gatewayPorts ?? isYes(one("gatewayports")),
    unlinkSockets: isYes(one("streamlocalbindunlink")),
    needsForwards: isYes(one("exitonforwardfailure")),
    level: request.logLevel ?? logLevel(one("loglevel")) ?? "INFO",
    env: environmentOf(context),
  };
}

function workOf(
  { command, session, stdio }: SshRequest,
  one: (name: "sessiontype" | "remotecommand") => string | undefined,
): Work {
  const configured = one("remotecommand");
  const remote = configured === "none" ? undefined : configured;
  if (command !== null && remote !== undefined) {
    throw new WrongWords("Cannot execute command-line and remote command.");
  }
  const type = session ?? sessionType(one("sessiontype"));
  const line = command ?? remote;
  if (stdio) return { kind: "stdio", endpoint: stdio };
  if (type === "none") return { kind: "none" };
  if (type === "subsystem") {
    if (line === undefined) throw new WrongWords("You must specify a subsystem to invoke.");
    return { kind: "subsystem", name: line };
  }
  return line === undefined ? { kind: "shell" } : { kind: "command", line };
}

function forwardsOf(
  { forwards, stdio }: SshRequest,
  { keywords }: PlanContext,
  clear: string | undefined,
): Forward[] {
  if (stdio || isYes(clear)) return [];
  return [...forwards, ...configuredForwards(keywords)];
}

/** SendEnv's variables, and SetEnv's, which win. */
function environmentOf({ keywords, environment }: PlanContext): Record<string, string> {
  const { sendenv = [], setenv = [] } = keywords;
  const env: Record<string, string> = {};
  if (sendenv.length > 0) {
    const patterns = sendenv.map(patternOf);
    for (const [name, value] of Object.entries(environment)) {
      if (patterns.some((pattern) => pattern.test(name))) env[name] = value;
    }
  }
  for (const pair of setenv) {
    const at = pair.indexOf("=");
    if (at > 0) env[pair.slice(0, at)] = pair.slice(at + 1);
  }
  return env;
}

/** ssh's patterns: `*` and `?`. */
function patternOf(text: string): RegExp {
  const source = text.replace(/[.+^${}()|[\]\\]/g, "\\$&").replaceAll("*", ".*").replaceAll(
    "?",
    ".",
  );
  return new RegExp(`^${source}$`);
}
