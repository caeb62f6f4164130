/**
 * One authenticated SSH connection: commands, SFTP and forwarded dials over ssh2. The daemon's links and
 * the direct targets run over it.
 */

import type { Duplex } from "node:stream";
import { Socket } from "node:net";
import { readFileSync } from "node:fs";
import type { Child, TerminalSize } from "../core/host.ts";
import { HoldfastError } from "../core/errors.ts";
import { printable } from "../core/printable.ts";
import { Client, type ClientChannel, type SFTPWrapper, type Ssh2Client } from "./ssh2.ts";
import type { SshSettings } from "./ssh_config.ts";
import { PHASE_DEADLINES } from "./phase_clock.ts";
import { SshChild } from "./ssh_child.ts";
import { StreamTransport } from "./ssh_streams.ts";
import type { Ask } from "./ask.ts";

export { PHASE_DEADLINES };
export type { Ask };

export type Log = (level: "debug" | "info" | "warn" | "error", text: string) => void;

export interface ConnectSshOptions {
  ask: Ask;
  signal?: AbortSignal;
  agentSocket?: string;
  log?: Log;
  via?: SshConnection;
}

export interface ExecOptions {
  terminal?: TerminalSize & { term: string };
  env?: Record<string, string>;
}

export async function connectSsh(
  settings: SshSettings,
  _options: ConnectSshOptions,
): Promise<SshConnection> {
  const description = `${settings.user}@${settings.hostname}:${settings.port}`;
  const socket = new Socket();
  await new Promise<void>((resolve, reject) => {
    socket.once("error", reject);
    socket.connect(settings.port, settings.hostname, () => resolve());
  });
  socket.setNoDelay(true);
  const keys = settings.identityFiles.flatMap((file) => {
    try {
      return [readFileSync(file)];
    } catch {
      return [];
    }
  });
  const client = new Client();
  await new Promise<void>((resolve, reject) => {
    client.once("ready", resolve);
    client.once("error", (error) => reject(new HoldfastError("auth", error.message)));
    client.connect({
      sock: socket,
      username: settings.user,
      privateKey: keys[0],
      password: settings.password,
      hostVerifier: () => true,
    });
  });
  return new SshConnection(client, { socket, description });
}

/**
 * - `close` is idempotent and ends every channel.
 * - `closed` resolves exactly once, with null when we closed it and with the reason otherwise.
 */
export class SshConnection {
  readonly description: string;
  readonly closed: Promise<HoldfastError | null>;
  #client: Ssh2Client;
  #socket: Duplex;
  #children = new Set<SshChild>();
  #ended: HoldfastError | null | undefined;
  #finish!: (reason: HoldfastError | null) => void;
  #dispose: () => void;

  /** `dispose` frees what lies below the socket (jump hosts, a proxy process). */
  constructor(
    client: Ssh2Client,
    options: { socket: Duplex; description: string; dispose?: () => void },
  ) {
    this.description = options.description;
    this.#client = client;
    this.#socket = options.socket;
    this.#dispose = options.dispose ?? (() => {});
    this.closed = new Promise((resolve) => this.#finish = resolve);
    client.on("error", (error: Error) => this.#end(this.#lost(error.message)));
    client.on("end", () => this.#end(this.#lost("the host ended the connection")));
    client.on("close", () => this.#end(this.#lost("the connection broke")));
  }

  /** Starts `command` in the login shell of the host. */
  async exec(command: string, options: ExecOptions = {}): Promise<Child> {
    const { terminal, env } = options;
    const channel = await this.#open<ClientChannel>("run a command", (done) => {
      const pty = terminal && {
        term: terminal.term,
        cols: terminal.columns,
        rows: terminal.rows,
        width: 0,
        height: 0,
      };
      this.#client.exec(command, { pty, env }, done);
    });
    const child = new SshChild(channel, { socket: this.#socket, description: this.description });
    if (this.#ended) child.lose(this.#ended);
    this.#children.add(child);
    child.exit.catch(() => {}).finally(() => this.#children.delete(child));
    return child;
  }

  /** Opens the SFTP subsystem on a session of its own. */
  sftp(): Promise<SFTPWrapper> {
    return this.#open<SFTPWrapper>("open SFTP", (done) => this.#client.sftp(done));
  }

  /** A connection from the host to `host:port` (direct-tcpip), for ProxyJump. */
  async dial(host: string, port: number): Promise<StreamTransport> {
    const action = `connect to ${printable(host)}:${port}`;
    const channel = await this.#open<ClientChannel>(
      action,
      (done) => this.#client.forwardOut("127.0.0.1", 0, host, port, done),
      "connect",
    );
    return new StreamTransport(channel);
  }

  close(): void {
    this.#end(null);
  }

  #end(reason: HoldfastError | null): void {
    if (this.#ended !== undefined) return;
    this.#ended = reason;
    const error = reason ?? new HoldfastError("disconnected", `Closed ${this.description}`);
    for (const child of this.#children) child.lose(error);
    this.#client.end();
    this.#socket.destroy();
    this.#dispose();
    this.#finish(reason);
  }

  #lost(text: string): HoldfastError {
    return new HoldfastError("disconnected", `Lost ${this.description}: ${printable(text)}`);
  }

  #open<T>(
    action: string,
    start: (done: (error: Error | undefined, result: T) => void) => void,
    kind: "limit" | "connect" = "limit",
  ): Promise<T> {
    return new Promise((resolve, reject) => {
      const fail = (error: Error & { reason?: unknown }) => {
        if (this.#ended !== undefined) {
          reject(this.#ended ?? new HoldfastError("disconnected", `Closed ${this.description}`));
        } else if (error.reason !== undefined) {
          const text = `Cannot ${action} on ${this.description}: ${printable(error.message)}`;
          reject(new HoldfastError(kind, text, { cause: error }));
        } else {
          const text = `Cannot ${action} on ${this.description}: ${printable(error.message)}`;
          reject(new HoldfastError("refused", text, { cause: error }));
        }
      };
      try {
        start((error, result) => error ? fail(error) : resolve(result));
      } catch (error) {
        fail(error as Error);
      }
    });
  }
}
