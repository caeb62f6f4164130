/**
 * A real OpenSSH server on loopback for tests, with its own host keys, configuration and log. As root
 * it hides the machine's JavaScript runtimes from its sessions, so that a target has exactly those
 * that `createAccount` gave it; unprivileged it serves our own user only.
 */

import { createIdentity, testIdentity } from "./identity.ts";
import { has } from "./needs.ts";
import { descendantsOf, killProcesses, readProcess } from "./processes.ts";
import { type TempDir, tempDir } from "./temp.ts";
import { findExecutable } from "./tools.ts";
import { type Mount, withoutRuntimes } from "./without_runtimes.ts";

/** How the server differs from a quiet default one. */
export interface SshdOptions {
  /** Public key lines accepted for every user, besides `~/.ssh/authorized_keys`. Default: {@linkcode testIdentity}'s. */
  authorizedKeys?: string[];
  /** Host keys to have, in order. Default `["ed25519"]`. */
  hostKeyTypes?: ("ed25519" | "ecdsa" | "rsa")[];
  /** Sessions per connection. Default 10, sshd's own. */
  maxSessions?: number;
  /** sshd's `MaxStartups`. Default `"100:30:200"`. */
  maxStartups?: string;
  /** Default false. Works for accounts with a password when we are root. */
  passwordAuthentication?: boolean;
  /** Use PAM, and with it keyboard-interactive. Default false. */
  pam?: boolean;
  /** Text shown before authentication. */
  banner?: string;
  /** Offer the SFTP subsystem. Default true. */
  sftp?: boolean;
  /** Hide every runtime not below an account's home. Default: whenever this machine allows it. */
  hideRuntimes?: boolean;
  /** With hidden runtimes: directories that are something else for its sessions. */
  mounts?: Record<string, Mount>;
  /** Port to listen on, for a server that comes back. Default: a free one. */
  port?: number;
  /** Lines put before ours; sshd takes the first value of each keyword. `Match` blocks go in `matches`. */
  config?: string[];
  /** Lines appended at the end, where `Match` blocks may stand. */
  matches?: string[];
}

/** What a wait for the log may be given. */
export interface LogWait {
  signal?: AbortSignal;
  /** Look only behind this character of the log. Default 0: what was logged already counts. */
  from?: number;
  /** Give up after so many ms. Default 20000. */
  deadline?: number;
}

/** Starts a server and resolves when it listens. */
export async function startSshd(options: SshdOptions = {}): Promise<TestSshd> {
  const dir = await tempDir({ mode: 0o755 });
  try {
    const hostKeys: string[] = [];
    const keyPaths: string[] = [];
    for (const type of options.hostKeyTypes ?? ["ed25519"]) {
      const key = await createIdentity({ type, path: dir.join(`host_${type}`) });
      hostKeys.push(key.publicKey.split(" ").slice(0, 2).join(" "));
      keyPaths.push(key.path);
    }
    const authorized = options.authorizedKeys ?? [(await testIdentity()).publicKey];
    await Deno.writeTextFile(dir.join("authorized_keys"), authorized.join("\n") + "\n");
    if (options.banner !== undefined) {
      await Deno.writeTextFile(dir.join("banner"), options.banner);
    }
    const { mounts = {} } = options;
    for (let attempt = 1;; attempt++) {
      const port = options.port ?? freePort();
      await Deno.writeTextFile(dir.join("sshd_config"), configFor(options, dir, port, keyPaths));
      const sshd = await TestSshd.launch(dir, { port, hostKeys, hide: hides(options), mounts });
      if (sshd) return sshd;
      if (options.port !== undefined || attempt === 5) {
        throw new Error(`Cannot start sshd on port ${port}: address in use`);
      }
    }
  } catch (error) {
    await dir[Symbol.asyncDispose]();
    throw error;
  }
}

/**
 * A running server. Its log is written before the peer gets the answer that it reports, so counts
 * taken after a client's reply are exact.
 */
export class TestSshd implements AsyncDisposable {
  readonly port: number;
  /** `ssh-ed25519 AAAA...` of every host key. */
  readonly hostKeys: readonly string[];
  readonly #dir: TempDir;
  readonly #process: Deno.ChildProcess;
  #ended = false;

  private constructor(dir: TempDir, process: Deno.ChildProcess, facts: LaunchFacts) {
    this.#dir = dir;
    this.#process = process;
    this.port = facts.port;
    this.hostKeys = facts.hostKeys;
    process.status.then(() => this.#ended = true);
  }

  /** @internal Resolves to undefined when the port was taken; {@linkcode startSshd} retries. */
  static async launch(dir: TempDir, facts: LaunchFacts): Promise<TestSshd | undefined> {
    await Deno.writeTextFile(dir.join("log"), "");
    const sshd = new TestSshd(dir, spawnSshd(dir, facts), facts);
    const stopped = new AbortController();
    sshd.#process.status.then(() => stopped.abort(new Error("sshd ended")));
    try {
      await sshd.waitForLog(/^Server listening on 127\.0\.0\.1 /m, { signal: stopped.signal });
      return sshd;
    } catch (cause) {
      const log = await sshd.log();
      await sshd.kill();
      if (/Address already in use/.test(log)) return undefined;
      throw new Error(`Cannot start sshd: ${log.trim() || "no log"}`, { cause });
    }
  }

  /** The listening process. */
  get pid(): number {
    return this.#process.pid;
  }

  /** known_hosts lines for this server under the given name, default `[127.0.0.1]:port`. */
  hostKeyLines(name = `[127.0.0.1]:${this.port}`): string[] {
    return this.hostKeys.map((key) => `${name} ${key}`);
  }

  /** Everything logged so far. */
  log(): Promise<string> {
    return Deno.readTextFile(this.#dir.join("log"));
  }

  /** How many authentications succeeded so far. */
  async logins(): Promise<number> {
    return (await this.log()).match(/^Accepted (?!key )/gm)?.length ?? 0;
  }

  /** How many sessions (command, shell or subsystem) were started so far. */
  async sessions(): Promise<number> {
    return (await this.log()).match(/^Starting session: /gm)?.length ?? 0;
  }

  /** Resolves to the first match of `pattern` in the log, at once or when it is written. */
  async waitForLog(pattern: RegExp, options: LogWait = {}): Promise<RegExpMatchArray> {
    const { signal, from = 0, deadline = 20_000 } = options;
    signal?.throwIfAborted();
    const watcher = Deno.watchFs(this.#dir.path); // before the first look, so nothing is missed
    let reason: Error | undefined;
    const giveUp = (error: Error) => {
      reason ??= error;
      watcher[Symbol.dispose]();
    };
    const onAbort = () => giveUp(signal!.reason);
    const timer = setTimeout(
      () => giveUp(new Error(`Cannot find ${pattern} in sshd's log within ${deadline} ms`)),
      deadline,
    );
    signal?.addEventListener("abort", onAbort);
    try {
      const events = watcher[Symbol.asyncIterator]();
      do {
        const match = (await this.log()).slice(from).match(pattern);
        if (match) return match;
      } while (!reason && !(await events.next()).done);
      throw reason ?? new Error("Cannot follow sshd's log: the watcher ended");
    } finally {
      clearTimeout(timer);
      signal?.removeEventListener("abort", onAbort);
      if (!reason) watcher[Symbol.dispose]();
    }
  }

  /** Kills the server with all it started. The log stays until disposal. */
  async kill(): Promise<void> {
    const self = this.#ended ? undefined : readProcess(this.pid);
    await killProcesses(self ? [self, ...descendantsOf(this.pid)] : []);
    await this.#process.status;
  }

  /** Kills every connection's process; the listener stays. */
  async killConnections(): Promise<void> {
    await killProcesses(descendantsOf(this.pid));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.kill();
    await this.#dir[Symbol.asyncDispose]();
  }
}

interface LaunchFacts {
  port: number;
  hostKeys: string[];
  hide: boolean;
  mounts: Record<string, Mount>;
}

function hides(options: SshdOptions): boolean {
  return options.hideRuntimes ?? has("namespaces");
}

function freePort(): number {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  return listener.addr.port;
}

function configFor(options: SshdOptions, dir: TempDir, port: number, keys: string[]): string {
  const sftp = findSftpServer();
  const yesNo = (value: boolean | undefined) => value ? "yes" : "no";
  return [
    ...options.config ?? [],
    "ListenAddress 127.0.0.1",
    `Port ${port}`,
    ...keys.map((path) => `HostKey ${path}`),
    `PidFile none`,
    `LogLevel VERBOSE`,
    `AuthorizedKeysFile ${dir.join("authorized_keys")} .ssh/authorized_keys`,
    `StrictModes no`,
    `UsePAM ${yesNo(options.pam)}`,
    `KbdInteractiveAuthentication ${yesNo(options.pam)}`,
    `PasswordAuthentication ${yesNo(options.passwordAuthentication)}`,
    `PermitRootLogin yes`,
    `PermitUserEnvironment yes`,
    `PrintMotd no`,
    `UseDNS no`,
    `MaxSessions ${options.maxSessions ?? 10}`,
    `MaxStartups ${options.maxStartups ?? "100:30:200"}`,
    ...options.banner === undefined ? [] : [`Banner ${dir.join("banner")}`],
    ...options.sftp === false || !sftp ? [] : [`Subsystem sftp ${sftp}`],
    ...options.matches ?? [],
    "",
  ].join("\n");
}

function findSftpServer(): string | undefined {
  const places = ["/usr/lib/openssh", "/usr/libexec/openssh", "/usr/lib/ssh", "/usr/libexec"];
  return places.map((place) => `${place}/sftp-server`).find((path) => {
    try {
      return Deno.statSync(path).isFile;
    } catch {
      return false;
    }
  });
}

/** sshd insists on its absolute path and, as root, on /run/sshd. */
function spawnSshd(dir: TempDir, { hide, mounts }: LaunchFacts): Deno.ChildProcess {
  const sshd = findExecutable("sshd");
  if (!sshd) throw new Error("Cannot start sshd: not installed");
  if (Deno.uid() === 0) Deno.mkdirSync("/run/sshd", { recursive: true, mode: 0o755 });
  const server = [sshd, "-D", "-f", dir.join("sshd_config"), "-E", dir.join("log")];
  const command = hide ? withoutRuntimes(dir.path, server, { mounts }) : server;
  return new Deno.Command(command[0], {
    args: command.slice(1),
    stdin: "null",
    stdout: "null",
    stderr: "null",
  }).spawn();
}
