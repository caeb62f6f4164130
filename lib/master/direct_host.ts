/** The host interface over one SSH connection: processes over session channels, files over SFTP. */
import { HoldfastError } from "../core/errors.ts";
import type { Host, SpawnOptions } from "../core/host.ts";
import { quoteWords } from "../core/quote.ts";
import type { SshConnection } from "./ssh_connection.ts";
import type { SessionKind } from "./ssh_session.ts";
import { type SftpFiles, sftpFiles } from "./sftp_files.ts";
import { trackChild } from "./tracked_child.ts";

/** What a session of SSH can be besides a command. `process.exec` carries it here; other hosts run the command. */
export interface SshSessionOptions {
  /** Instead of the command: the login shell, or a subsystem. */
  session?: "shell" | { subsystem: string };
  /** Let it use the agent of whoever made the connection. */
  agent?: boolean;
}

/** Makes the host of `connection`. Sessions over the server's MaxSessions wait for their turn. */
export function directHost(connection: SshConnection): Host {
  const sessions = new SessionQueue();
  let files: Promise<SftpFiles> | undefined;
  const sftp = (): Promise<SftpFiles> => {
    files ??= sessions.take(() => connection.sftp()).catch(unservable).then((wrapper) => {
      wrapper.once("close", () => {
        files = undefined;
        sessions.release();
      });
      return sftpFiles(wrapper);
    });
    files.catch(() => files = undefined);
    return files;
  };
  return {
    runtime: "direct",
    runtimePath: null,
    shell: null,
    home: () => "",
    async spawn(options: SpawnOptions & SshSessionOptions) {
      const { terminal, agent, env } = options;
      const kind = sessionKind(options);
      const token = kind || terminal ? null : crypto.randomUUID();
      const line = kind ?? commandLine(options, token);
      const child = await sessions.take(() =>
        connection.exec(line, { terminal, agent, env: kind ? env : undefined })
      );
      void child.closed.then(() => sessions.release());
      return token === null ? child : trackChild(child, { token, connection });
    },
    stat: async (path) => (await sftp()).stat(path),
    lstat: async (path) => (await sftp()).lstat(path),
    readDir: async (path) => (await sftp()).readDir(path),
    readLink: async (path) => (await sftp()).readLink(path),
    symlink: async (target, path) => (await sftp()).symlink(target, path),
    mkdir: async (path, mode) => (await sftp()).mkdir(path, mode),
    rename: async (from, to) => (await sftp()).rename(from, to),
    remove: async (path) => (await sftp()).remove(path),
    chmod: async (path, mode) => (await sftp()).chmod(path, mode),
    setTime: async (path, mtime) => (await sftp()).setTime(path, mtime),
    openRead: async (path) => (await sftp()).openRead(path),
    create: async (path, mode) => (await sftp()).create(path, mode),
  };
}

function sessionKind({ session }: SshSessionOptions): Exclude<SessionKind, string> | null {
  if (session === undefined) return null;
  return session === "shell" ? { shell: true } : { subsystem: String(session.subsystem) };
}

/** SFTP runs behind the login shell too, whose output before it nobody can tell from SFTP's own. */
function unservable(error: HoldfastError): never {
  if (error.kind !== "refused") throw error;
  const hint =
    "Check that the host offers SFTP, and that its login shell prints nothing for a command " +
    "(test: ssh HOST true)";
  throw new HoldfastError("refused", `${error.message}\n${hint}`, { cause: error });
}

/**
 * What sshd is told to run: it gives the line to the login shell, and knows no working directory or words. With a
 * token the process id is told first, because sshd signals no process of root's. A plain line stays with the login
 * shell that sshd started, which alone has the user's functions and aliases.
 */
function commandLine({ command, cwd, env }: SpawnOptions, token: string | null): string {
  const variables = Object.entries(env ?? {}).map(([name, value]) => `${name}=${value}`);
  if (typeof command === "string" && !cwd && variables.length === 0) {
    return token === null ? command : `sh -c 'echo ${token} $PPID';${command}`;
  }
  const announce = token === null ? "" : `echo ${token} $$;`;
  const script = `${announce}cd "$1"||exit 255;shift;exec env -- "$@"`;
  const words = typeof command === "string"
    ? ["sh", "-c", 'exec "$SHELL" -c "$0"', command]
    : command;
  return `exec ${quoteWords(["sh", "-c", script, "sh", cwd ?? ".", ...variables, ...words])}`;
}

/** Learns from the server's refusals how many sessions it takes, and lets the others wait. */
class SessionQueue {
  #open = 0;
  #limit = Infinity;
  #waiting: (() => void)[] = [];

  async take<T>(open: () => Promise<T>): Promise<T> {
    for (let alone = 0;;) {
      while (this.#open >= this.#limit) {
        await new Promise<void>((resolve) => this.#waiting.push(resolve));
      }
      this.#open++;
      try {
        return await open();
      } catch (error) {
        const full = error instanceof HoldfastError && error.kind === "limit";
        if (full && this.#open > 1) {
          this.#open--;
          this.#limit = this.#open;
        } else if (full && alone++ === 0) {
          // sshd frees closed sessions only after all that it has read: those that closed just before this may count.
          this.#open--;
        } else {
          this.release();
          throw error;
        }
      }
    }
  }

  release(): void {
    this.#open--;
    const next = this.#waiting.shift();
    if (next) next();
    else this.#limit = Infinity;
  }
}
