/**
 * What ssh's command line comes to: the outcome of `ssh_command_line.ts`, which everything else in this room works
 * from. Only shapes; absent means that the command line does not say, and ssh_config decides.
 */
import type { SshOptions } from "../rendezvous/ssh_options.ts";
import type { Endpoint, Forward } from "./forward_spec.ts";

/** `auto`: where no command is given and standard input is a terminal. `force`: even where it is none. */
export type TerminalWish = "no" | "auto" | "yes" | "force";

/** What runs on the other side: a command or the login shell, nothing, a subsystem. */
export type SessionType = "default" | "none" | "subsystem";

export const CONTROL_COMMANDS = ["check", "forward", "cancel", "exit", "stop", "proxy"] as const;

export type ControlCommand = typeof CONTROL_COMMANDS[number];

/** ssh's log levels, least to most. */
export const LOG_LEVELS = [
  "QUIET",
  "FATAL",
  "ERROR",
  "INFO",
  "VERBOSE",
  "DEBUG1",
  "DEBUG2",
  "DEBUG3",
] as const;

export type LogLevel = typeof LOG_LEVELS[number];

export interface SshRequest {
  kind: "request";
  /** A TARGET: the host of ssh's destination, or a whole stack. */
  destination: string;
  /** It has hops that ssh knows nothing of. */
  isStack: boolean;
  /** What the daemon is told. */
  ssh: SshOptions;
  /** The words behind the destination, joined by spaces; null when there are none. */
  command: string | null;
  /** `-G` */
  printsConfig: boolean;
  session?: SessionType;
  terminal?: TerminalWish;
  /** `-n` */
  noInput?: boolean;
  /** `-f` */
  background?: boolean;
  /** `-A`, `-a` */
  agent?: boolean;
  /** Of `-o ForwardAgent`: another agent than ours, by its socket or by the `$VARIABLE` that holds it. */
  agentSocket?: string;
  /** One character, or null for none. */
  escape?: string | null;
  logLevel?: LogLevel;
  /** `-E` */
  logFile?: string;
  /** `-L`, `-R`, `-D`, in order */
  forwards: Forward[];
  /** `-g` */
  gatewayPorts?: boolean;
  /** `-W` */
  stdio?: Endpoint;
  /** `-O` */
  control?: ControlCommand;
  /** `-S`: of a master of OpenSSH's, if any. Ours needs none. */
  controlPath?: string;
  /** X11 forwarding was asked for; without a display that means nothing. */
  x11: boolean;
  /** The first option that only the system's ssh can carry out, as it was written. */
  beyond?: string;
}

/** A request while it is read: the destination is not known yet. */
export interface Draft extends Omit<SshRequest, "kind" | "destination" | "isStack" | "command"> {
  ssh: SshRequest["ssh"] & { identityFiles: string[]; options: string[] };
  /** ProxyJump or ProxyCommand was set by `-o`. */
  proxy?: "jump" | "command";
}

/** A command line, read. */
export type SshCommandLine =
  | SshRequest
  | { kind: "version" }
  | { kind: "query"; query: string }
  /** What ssh says to it, and whether the usage follows. */
  | { kind: "wrong"; message: string; usage: boolean };
