/** How a session of an SSH connection begins: its terminal, environment and agent, and what runs in it. For `ssh_connection.ts`. */
import type { TerminalSize } from "../core/host.ts";
import type { ClientChannel, Ssh2Client } from "./ssh2.ts";

/** A line for the login shell, that shell itself, or a subsystem of the server. */
export type SessionKind = string | { shell: true } | { subsystem: string };

export interface SessionOptions {
  terminal?: TerminalSize & { term: string };
  /** Sent as the server's AcceptEnv allows. */
  env?: Record<string, string>;
  /** Lets what runs there use the agent of whoever made the connection, where there is one. */
  agent?: boolean;
}

/** Asks the server for a session; `done` must take the channel at once, before its next packet is read. */
export function startSession(
  client: Ssh2Client,
  kind: SessionKind,
  { terminal, env, agent, done }: SessionOptions & {
    done: (error: Error | undefined, channel: ClientChannel) => void;
  },
): void {
  const pty = terminal && {
    term: terminal.term,
    cols: terminal.columns,
    rows: terminal.rows,
    width: 0,
    height: 0,
  };
  const options = { env, agentForward: agent === true };
  if (typeof kind === "string") client.exec(kind, { pty, ...options }, done);
  else if ("shell" in kind) client.shell(pty ?? false, options, done);
  else client.subsys(kind.subsystem, done);
}
