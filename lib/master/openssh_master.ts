/**
 * OpenSSH's client as a process that only logs in and then serves its control socket: one for each connection, never
 * the user's own. Started by `openssh_endpoint.ts`.
 */

import { HoldfastError } from "../core/errors.ts";
import { READY } from "./openssh_arguments.ts";
import type { OpensshTalk } from "./openssh_talk.ts";

/** Milliseconds between SIGTERM and SIGKILL. */
const GRACE = 2_000;
/** Milliseconds that what ssh said may come after its end. */
const LAST_WORDS = 200;

/**
 * Runs ssh, and ends it when standard input ends: that happens too when this process is killed. A shell can do it
 * anywhere; ssh itself would go on for as long as the connection lives. Only ssh keeps the other
 * streams open.
 */
const KEEPER = '"$@" </dev/null & p=$!;exec >&- 2>&-;read -r _;kill $p;wait $p';

export interface MasterOptions {
  /** The words that start it, ssh's absolute path first. */
  words: string[];
  controlPath: string;
  env: Record<string, string>;
  cwd: string;
  /** Interprets what ssh says, from its first line on. */
  talk: OpensshTalk;
}

/**
 * - `ready` resolves with true when the control socket takes requests, with false when ssh ended before.
 * - `ended` resolves when the process is gone, and the control socket with it.
 * - Killing this process, even with -9, ends ssh.
 */
export class OpensshMaster {
  readonly ready: Promise<boolean>;
  readonly ended: Promise<void>;
  readonly #child: Deno.ChildProcess;
  readonly #stop = Promise.withResolvers<void>();

  constructor({ controlPath, talk, ...options }: MasterOptions) {
    const child = startKeeper(options);
    this.#child = child;
    const input = child.stdin.getWriter();
    const ready = Promise.withResolvers<boolean>();
    this.ready = ready.promise;
    const stderr = readText(child.stderr, (text) => talk.hear(text));
    let printed = "";
    const stdout = readText(child.stdout, (text) => {
      printed = (printed + text).slice(-1024);
      if (printed.includes(READY)) ready.resolve(true);
    });
    // It closes its output when it has nothing more to do than to serve.
    void stdout.ended.then(() => printed.includes(READY) || this.#stop.resolve());
    void stderr.ended.then(() => this.#stop.resolve());
    this.ended = (async () => {
      await this.#stop.promise;
      input.close().catch(() => {});
      const timer = setTimeout(() => this.#kill(), GRACE);
      await child.status;
      clearTimeout(timer);
      // The reason comes last, but a ProxyCommand that goes on may hold stderr open for ever.
      const patience = setTimeout(() => stderr.cancel(), LAST_WORDS);
      await stderr.ended;
      clearTimeout(patience);
      ready.resolve(false);
      await Deno.remove(controlPath).catch(() => {});
    })();
  }

  /** Ends it; idempotent. Resolves when it is gone. */
  async end(): Promise<void> {
    this.#stop.resolve();
    await this.ended;
  }

  #kill(): void {
    try {
      Deno.kill(-this.#child.pid, "SIGKILL");
    } catch {
      // It has ended by itself.
    }
  }
}

function startKeeper(
  { words, env, cwd }: Pick<MasterOptions, "words" | "env" | "cwd">,
): Deno.ChildProcess {
  try {
    return new Deno.Command("/bin/sh", {
      args: ["-c", KEEPER, "sh", ...words],
      cwd,
      env,
      clearEnv: true,
      stdin: "piped",
      stdout: "piped",
      stderr: "piped",
      detached: true,
    }).spawn();
  } catch (cause) {
    const text = `Cannot start OpenSSH's client: ${(cause as Error).message}`;
    throw new HoldfastError("io", text, { cause });
  }
}

/** Reads to the end, or until it is cancelled; `ended` never rejects. */
function readText(
  stream: ReadableStream<Uint8Array>,
  onText: (text: string) => void,
): { ended: Promise<void>; cancel(): void } {
  const reader = stream.getReader();
  const decoder = new TextDecoder();
  const read = async (): Promise<void> => {
    for (let { value } = await reader.read(); value; { value } = await reader.read()) {
      onText(decoder.decode(value, { stream: true }));
    }
  };
  return {
    ended: read().catch(() => {}),
    cancel: () => void reader.cancel().catch(() => {}),
  };
}
