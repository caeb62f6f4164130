/** The host interface over one SSH connection: processes over session channels, files over SFTP or through a shell. */
import { HoldfastError } from "../core/errors.ts";
import type { Child, Host, SpawnOptions } from "../core/host.ts";
import { type FileSession, HeldFiles } from "./held_files.ts";
import { loginShellLine } from "./login_shell_line.ts";
import { SessionQueue } from "./session_queue.ts";
import type { SshConnection } from "./ssh_connection.ts";
import type { SessionKind, SessionOptions } from "./ssh_session.ts";
import { shellFiles } from "./shell_files.ts";
import { sftpFiles } from "./sftp_files.ts";
import { trackChild } from "./tracked_child.ts";

/** What a session of SSH can be besides a command. `process.exec` carries it here; other hosts run the command. */
export interface SshSessionOptions {
  /** Instead of the command: the login shell, or a subsystem. */
  session?: "shell" | { subsystem: string };
  /** Let it use the agent of whoever made the connection. */
  agent?: boolean;
}

/** What a process of a host without a core can be, besides. */
export interface SpawnUrgency {
  /** Starts at once or not at all (`limit`), however many wait: for what ends others. */
  urgent?: boolean;
}

export interface DirectHost extends Host {
  /** A process without more than its streams, for a core. */
  start(line: string): Promise<Child>;
  /** One that was started is there to stay. Where no other session is allowed, `spawn` starts what comes. */
  keep(spawn: (options: SpawnOptions) => Promise<Child>): void;
}

/** Makes the host of `connection`. Sessions over the server's MaxSessions wait for their turn. */
export function directHost(connection: SshConnection): DirectHost {
  const sessions = new SessionQueue();
  let through: ((options: SpawnOptions) => Promise<Child>) | null = null;
  const start = async (kind: SessionKind, options: SessionOptions & SpawnUrgency = {}) => {
    const open = () => connection.exec(kind, options);
    const child = await (options.urgent ? sessions.now(open) : sessions.take(open));
    void child.closed.then(() => sessions.release());
    return child;
  };
  const spawn = async (options: SpawnOptions & SshSessionOptions & SpawnUrgency) => {
    const { terminal, agent, env, urgent } = options;
    const kind = sessionKind(options);
    const token = kind || terminal ? null : crypto.randomUUID();
    const line = kind ?? commandLine(options, token);
    const child = await start(line, { terminal, agent, urgent, env: kind ? env : undefined });
    if (token === null) return child;
    return trackChild(child, {
      token,
      login: connection.description,
      // By sh: fish has no kill of its own.
      run: (line) => start(`exec sh -c '${line}'`, { urgent: true }),
    });
  };
  // SFTP runs behind the login shell, too: without a server, or with a profile that prints, it is refused.
  let sftp = true;
  const held = new HeldFiles({
    async open() {
      if (sftp) {
        try {
          return await openSftp(connection, sessions);
        } catch (error) {
          if (!(error instanceof HoldfastError) || error.kind !== "refused") throw error;
          sftp = false;
        }
      }
      return await shellFiles((command) => spawn({ command }));
    },
    spare: (giveBack) => sessions.spare(giveBack),
  });
  void connection.lost.then(() => held.close());
  return {
    ...held.files,
    runtime: "direct",
    runtimePath: null,
    shell: null,
    home: () => "",
    start,
    keep(spawn) {
      through = spawn;
      sessions.keep();
    },
    spawn: (options) =>
      spawn(options).catch((error) => {
        if (through && error.kind === "limit" && sessions.isTaken) return through(options);
        throw error;
      }),
  };
}

async function openSftp(connection: SshConnection, sessions: SessionQueue): Promise<FileSession> {
  const wrapper = await sessions.take(() => connection.sftp());
  const closed = new Promise<void>((resolve) => wrapper.once("close", () => resolve()));
  void closed.then(() => sessions.release());
  return { files: sftpFiles(wrapper), closed, close: () => wrapper.end() };
}

function sessionKind({ session }: SshSessionOptions): Exclude<SessionKind, string> | null {
  if (session === undefined) return null;
  return session === "shell" ? { shell: true } : { subsystem: String(session.subsystem) };
}

/**
 * What sshd is told to run: it gives the line to the login shell, and knows no working directory or words. With a
 * token the process id is told first, because sshd signals no process of root's. A plain line stays with the login
 * shell that sshd started, which alone has the user's functions and aliases.
 */
function commandLine({ command, cwd, env }: SpawnOptions, token: string | null): string {
  const variables = Object.entries(env ?? {}).map(([name, value]) => `${name}=${value}`);
  if (typeof command === "string" && !cwd && variables.length === 0) {
    return token === null ? command : `sh -c 'echo ${token} -$PPID';${command}`;
  }
  const announce = token === null ? "" : `echo ${token} -$$;`;
  const script = `${announce}cd "$1"||exit 255;shift;exec env -- "$@"`;
  const words = typeof command === "string"
    ? ["sh", "-c", 'exec "$SHELL" -c "$0"', command]
    : command;
  return loginShellLine(["sh", "-c", script, "sh", cwd ?? ".", ...variables, ...words]);
}
