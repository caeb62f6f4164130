/**
 * ProxyCommand: a program whose standard input and output are the way to the host. Used by `ssh_connection.ts`.
 */

import { Buffer } from "node:buffer";
import { Duplex } from "node:stream";
import { HoldfastError } from "../core/errors.ts";
import { printable } from "../core/printable.ts";
import type { SshSettings } from "./ssh_settings.ts";
import { describe, type SshSocket } from "./ssh_socket.ts";

/** Characters of the program's complaints that are kept: the last ones. */
const COMPLAINT_LENGTH = 400;
/** Milliseconds that a complaint may come after its program's last output. */
const COMPLAINT_DELAY = 200;
/** Milliseconds between SIGHUP and SIGKILL. */
const GRACE = 2_000;

/** Starts the ProxyCommand of `settings`. Fails with kind `usage` when a name is not safe in a command line. */
export function startProxyCommand(settings: SshSettings): SshSocket {
  const command = proxyCommandLine(settings);
  const { env, cwd } = settings.request;
  let child: Deno.ChildProcess;
  try {
    child = new Deno.Command("/bin/sh", {
      args: ["-c", `exec ${command}`],
      cwd,
      env,
      clearEnv: true,
      stdin: "piped",
      stdout: "piped",
      stderr: "piped",
    }).spawn();
  } catch (cause) {
    const text = `Cannot start the ProxyCommand for ${describe(settings)}: ${
      (cause as Error).message
    }`;
    throw new HoldfastError("connect", text, { cause });
  }
  return new ProxyProcess(child);
}

/** The command with `%h %n %p %r %%` replaced. */
export function proxyCommandLine(settings: SshSettings): string {
  for (const host of [settings.hostname, settings.host]) checkHostName(host);
  checkUserName(settings.user);
  const tokens: Record<string, string> = {
    "%": "%",
    h: settings.hostname,
    n: settings.host,
    p: String(settings.port),
    r: settings.user,
  };
  return settings.proxyCommand!.replace(/%(.?)/g, (_, letter: string) => {
    if (Object.hasOwn(tokens, letter)) return tokens[letter];
    const text = `Cannot use ProxyCommand "${printable(settings.proxyCommand!)}": ` +
      `unknown token "%${printable(letter)}"; known are %h %n %p %r %%`;
    throw new HoldfastError("resolve", text);
  });
}

/** Refuses, as ssh does, a host name that could be an option or break out of a shell word. Kind `usage`. */
export function checkHostName(host: string): void {
  const bad = badHostName(host);
  if (bad !== null) {
    throw new HoldfastError("usage", `Cannot use host "${printable(host)}": a host name ${bad}`);
  }
}

/** The same for a user name. Kind `usage`. */
export function checkUserName(user: string): void {
  const bad = badUserName(user);
  if (bad !== null) {
    throw new HoldfastError("usage", `Cannot use user "${printable(user)}": a user name ${bad}`);
  }
}

function badHostName(host: string): string | null {
  if (host === "") return "is never empty";
  if (host.startsWith("-")) return 'never begins with "-"';
  // deno-lint-ignore no-control-regex
  if (/['`"$\\;&<>|(){}\s\x00-\x1f\x7f]/.test(host)) {
    return "has no white space and no shell characters";
  }
  return null;
}

function badUserName(user: string): string | null {
  if (user === "") return "is never empty";
  if (user.startsWith("-")) return 'never begins with "-"';
  // deno-lint-ignore no-control-regex
  if (/['`"$;&<>|(){}\x00-\x1f\x7f]|\s-|\\$/.test(user)) return "has no shell characters";
  return null;
}

/** Owns the process: disposing closes its input and ends it. */
class ProxyProcess implements SshSocket {
  readonly stream: Duplex;
  #child: Deno.ChildProcess;
  #writer: WritableStreamDefaultWriter<Uint8Array<ArrayBuffer>>;
  #complaint = "";
  #disposed = false;
  #ended = false;

  constructor(child: Deno.ChildProcess) {
    this.#child = child;
    this.#writer = child.stdin.getWriter();
    const reader = child.stdout.getReader();
    const writer = this.#writer;
    child.status.then(() => this.#ended = true);
    const complaints = this.#collect();
    // The reason usually comes just after the output ended, but a grandchild may hold stderr open for ever.
    const lastWords = async () => {
      let timer: ReturnType<typeof setTimeout> | undefined;
      const patience = new Promise((resolve) => timer = setTimeout(resolve, COMPLAINT_DELAY));
      await Promise.race([complaints, patience]);
      clearTimeout(timer);
    };
    this.stream = new Duplex({
      read() {
        reader.read().then(
          ({ value }) => {
            if (value !== undefined) {
              this.push(Buffer.from(value.buffer, value.byteOffset, value.length));
            } else lastWords().then(() => this.push(null));
          },
          () => this.push(null),
        );
      },
      write(chunk: Uint8Array<ArrayBuffer>, _encoding, done) {
        writer.write(chunk).then(
          () => done(),
          (error: Error) => lastWords().then(() => done(error)),
        );
      },
      final(done) {
        writer.close().then(() => done(), () => done());
      },
      destroy: (error, done) => {
        reader.cancel().catch(() => {});
        this.dispose();
        done(error);
      },
    });
  }

  complaint(): string {
    return printable(this.#complaint.trim().replace(/\s*\n\s*/g, "; "));
  }

  async dispose(): Promise<void> {
    if (this.#disposed) {
      await this.#child.status;
      return;
    }
    this.#disposed = true;
    this.stream.destroy();
    this.#writer.close().catch(() => {});
    this.#signal("SIGHUP");
    const timer = setTimeout(() => this.#signal("SIGKILL"), GRACE);
    await this.#child.status;
    clearTimeout(timer);
  }

  #signal(signal: Deno.Signal): void {
    try {
      if (!this.#ended) this.#child.kill(signal);
    } catch { /* it ended by itself */ }
  }

  async #collect(): Promise<void> {
    const decoder = new TextDecoder();
    try {
      for await (const chunk of this.#child.stderr) {
        const text = this.#complaint + decoder.decode(chunk, { stream: true });
        this.#complaint = text.slice(-COMPLAINT_LENGTH);
      }
    } catch { /* disposed */ }
  }
}
