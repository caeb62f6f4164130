/**
 * A command on an SSH session channel, as the core's {@linkcode Child}. Made by `ssh_connection.ts`.
 */

import type { Writable } from "node:stream";
import type { ByteSink, ByteSource, Child, ExitStatus, TerminalSize } from "../core/host.ts";
import { HoldfastError } from "../core/errors.ts";
import { StreamSink, StreamSource } from "./ssh_streams.ts";
import type { ClientChannel } from "./ssh2.ts";

export class SshChild implements Child {
  /** SSH does not tell it. */
  readonly pid = 0;
  readonly stdin: ByteSink;
  readonly stdout: ByteSource;
  readonly stderr: ByteSource;
  /** Rejects with kind `disconnected` when the channel ended without a status. */
  readonly exit: Promise<ExitStatus>;
  /** Resolves when the server has freed the session. */
  readonly closed: Promise<void>;
  #channel: ClientChannel;
  #stdin: StreamSink;
  #lose!: (error: HoldfastError) => void;

  /** `socket` is the connection below, `description` names the host. */
  constructor(channel: ClientChannel, options: { socket: Writable; description: string }) {
    this.#channel = channel;
    const stdin = new StreamSink(channel, options.socket);
    this.stdin = stdin;
    this.#stdin = stdin;
    this.stdout = new StreamSource(channel);
    this.stderr = new StreamSource(channel.stderr);
    this.closed = new Promise((resolve) => channel.on("close", () => resolve()));
    this.exit = new Promise((resolve, reject) => {
      this.#lose = reject;
      channel.on("exit", (code: number | null, signal?: string) => {
        stdin.abandon(); // "close" comes only when the output has been read
        resolve(code === null ? { code: null, signal: signal! } : { code, signal: null });
      });
      channel.on("close", () => {
        const text = `Lost the command on ${options.description}: no exit status came`;
        reject(new HoldfastError("disconnected", text));
      });
    });
    this.exit.catch(() => {});
  }

  /** The connection is gone: `exit` must not wait until somebody has read the output to its end. */
  lose(error: HoldfastError): void {
    this.#stdin.abandon();
    this.#lose(error);
  }

  /** HUP and KILL close the channel too: sshd then hangs up a terminal, and nothing waits for the command. */
  kill(signal: string): void {
    try {
      this.#channel.signal(signal.replace(/^SIG/, ""));
      if (signal === "SIGKILL" || signal === "SIGHUP") this.#channel.close();
    } catch { /* an unknown name or a closed channel: nothing to do */ }
  }

  isAlive(): boolean {
    return false;
  }

  resize(size: TerminalSize): void {
    this.#channel.setWindow(size.rows, size.columns, 0, 0);
  }
}
