/**
 * What OpenSSH's client writes to stderr, understood: how far it is, who the server is, and why it failed. The one
 * file that interprets that text; used by `openssh_master.ts` and `openssh_endpoint.ts`.
 */

import { type ErrorKind, HoldfastError } from "../core/errors.ts";
import { printable } from "../core/printable.ts";
import type { Phase } from "./phase_clock.ts";

/** Complaints that are kept: the last ones. */
const LINES = 20;
/** Characters of one line; a server's banner is in there too. */
const LONGEST_LINE = 400;

/** Lines of LogLevel DEBUG1 at which a phase begins. */
const PROGRESS: readonly [RegExp, Phase | "done"][] = [
  [/^Connecting to |^Executing proxy command/, "connect"],
  [/^Connection established|^Remote protocol version/, "kex"],
  [/^SSH2_MSG_SERVICE_ACCEPT received/, "authenticate"],
  [/^Entering interactive session/, "done"],
];

/** What a complaint means; the first complaint that has a meaning decides, else the phase does. */
const MEANINGS: readonly [RegExp, ErrorKind][] = [
  [
    /^Host key verification failed|^Host key for .* has changed|^No .* host key is known/,
    "host_key",
  ],
  [/marked as revoked|^Certificate invalid/, "host_key"],
  [/Could not resolve hostname/, "resolve"],
  [/Permission denied \(|Too many authentication failures|No more authentication/, "auth"],
  [/^ssh: connect to host .* timed out$|^Connection timed out during banner/, "timeout"],
  [/^ssh: connect to host /, "connect"],
  [/^Unable to negotiate with /, "kex"],
];

/** Complaints that say more than the decisive one. */
const DETAILS: Partial<Record<ErrorKind, RegExp>> = {
  host_key: /^(Offending .* key|Certificate invalid)/,
  auth: /^(Load key|no such identity|sign_and_send_pubkey|ssh_askpass|Certificate )/,
};

/** What is said about every host, or leads up to something else. */
const NOISE =
  /^(Warning: Permanently added|Authenticated to |Transferred: |Bytes per second: |Connection closed by UNKNOWN |Permission denied, please|@)/;

const BY_PHASE: Record<Phase, ErrorKind> = {
  resolve: "resolve",
  connect: "connect",
  kex: "kex",
  authenticate: "auth",
};

const ADVICE: Partial<Record<ErrorKind, string>> = {
  resolve: "Check the spelling, ~/.ssh/config (HostName) and the name server",
  connect:
    "Check that the host is up, that sshd listens on this port, and that no firewall is in between",
  timeout:
    "Check that the host is up and not behind a firewall, or raise -o ConnectTimeout=SECONDS",
  kex: "Check that an SSH server listens on this port and that it takes new connections",
  auth: "Check the user name and the keys (-i, ssh-add -l, authorized_keys on the host)",
};

export interface TalkOptions {
  /** `user@host:port`, for messages. */
  description: string;
  onPhase: (phase: Phase) => void;
  /** A key was accepted and is about to sign, which may take a person. */
  onSigning: () => void;
  log?: (level: "debug" | "info", text: string) => void;
}

export class OpensshTalk {
  /** The server's, from its version line; before that, a guess. */
  software = "OpenSSH";
  readonly #options: TalkOptions;
  #phase: Phase | "done" = "resolve";
  #rest = "";
  #complaints: string[] = [];

  constructor(options: TalkOptions) {
    this.#options = options;
  }

  /** The next piece of stderr. */
  hear(text: string): void {
    const lines = (this.#rest + text).split(/\r*\n/);
    this.#rest = lines.pop()!.slice(-LONGEST_LINE);
    for (const line of lines) this.#line(line.slice(0, LONGEST_LINE));
  }

  /** Why there is no connection. */
  failure(): HoldfastError {
    this.hear("\n");
    const { description } = this.#options;
    const phase = this.#phase === "done" ? "authenticate" : this.#phase;
    const decisive = this.#complaints.find((line) => meaningOf(line) !== null) ??
      this.#complaints.find((line) => !line.startsWith("kex_exchange_identification")) ??
      this.#complaints[0] ?? "ssh ended without a word";
    const kind = meaningOf(decisive) ?? BY_PHASE[phase];
    const details = this.#complaints.filter((line) =>
      line !== decisive && DETAILS[kind]?.test(line)
    );
    const said = [decisive, ...details.slice(0, 2)].join("; ");
    const doing = {
      resolve: `resolve ${description}`,
      timeout: `connect to ${description}`,
      kex: `exchange keys with ${description}`,
      host_key: `trust ${description} (key exchange)`,
      auth: `authenticate as ${description}`,
    }[kind as string] ?? `connect to ${description}`;
    const advice = ADVICE[kind] ?? this.#keyAdvice();
    return new HoldfastError(kind, `Cannot ${doing}: ${printable(said)}\n${advice}`);
  }

  /** The last complaint, for a connection that was lost; "" when there was none. */
  lastWord(): string {
    return printable(this.#complaints.at(-1) ?? "");
  }

  #line(line: string): void {
    const { onPhase, log } = this.#options;
    const debug = /^debug\d: (.*)/.exec(line);
    if (debug === null) {
      const complaint = line.trim();
      if (complaint === "") return;
      log?.("info", `ssh says: ${complaint}`);
      if (NOISE.test(complaint)) return;
      this.#complaints.push(complaint);
      if (this.#complaints.length > LINES) this.#complaints.shift();
      return;
    }
    this.software = /remote software version (\S+)/.exec(debug[1])?.[1] ?? this.software;
    if (debug[1].startsWith("Server accepts key")) this.#options.onSigning();
    const phase = PROGRESS.find(([pattern]) => pattern.test(debug[1]))?.[1];
    if (phase === undefined || phase === this.#phase) return;
    this.#phase = phase;
    this.#complaints = [];
    if (phase !== "done") onPhase(phase);
  }

  #keyAdvice(): string {
    const removal = this.#complaints.find((line) => line.startsWith("ssh-keygen "));
    if (removal !== undefined) return `If the host really has a new key: ${printable(removal)}`;
    return "Compare the fingerprint, then connect once with ssh, or use -o StrictHostKeyChecking=accept-new";
  }
}

function meaningOf(line: string): ErrorKind | null {
  return MEANINGS.find(([pattern]) => pattern.test(line))?.[1] ?? null;
}
