/**
 * A command whose process id is known, so that its whole group can be signalled: by a second command, since sshd itself
 * signals only for users other than root, ssh2 only while stdin is open, and no tool passes on all. Used by
 * `direct_host.ts` and `hop_host.ts`.
 */
import { concat } from "../core/greeting.ts";
import type { HoldfastError } from "../core/errors.ts";
import type { ByteSource, Child } from "../core/host.ts";
import { LIMITS } from "../core/limits.ts";
import { passwordExpiry } from "./password_expiry.ts";

export interface TrackOptions {
  token: string;
  /** Runs a line of a POSIX shell where the command runs, and as the same user; null when that cannot be done now. */
  run: (line: string) => Promise<Child | null>;
  /** Who one is there, where the host may have run something else because that user's password has expired. */
  login?: string;
}

/**
 * `child` writes `<token> <target>` and a newline first, the target being what kill(1) is to be told; what a noisy
 * profile wrote before that is dropped. When the host ran something else instead because the password has expired,
 * `exit` rejects and says so.
 */
export function trackChild(
  child: Child,
  { token, run, login }: TrackOptions,
): Child {
  const { stdout, announced } = afterAnnouncement(child.stdout, token);
  const { stderr, expired } = login === undefined
    ? { stderr: child.stderr, expired: Promise.resolve(null) }
    : watchForExpiry(child.stderr, login);
  const exit = child.exit.then(async (status) => {
    // What announced itself was the command; what did not may still have its say on stderr.
    const started = announced.then((target) => target === null ? expired : null);
    const reason = status.code === 1 && await Promise.race([expired, started]);
    if (reason) throw reason;
    return status;
  });
  exit.catch(() => {});
  return {
    pid: 0,
    stdin: child.stdin,
    stdout,
    stderr,
    exit,
    kill(signal) {
      void announced.then(async (target) => {
        const sent = target === null ? null : await signalGroup(run, { target, signal });
        if (sent === null) child.kill(signal);
      });
    },
    async isAlive() {
      const target = await announced;
      return target !== null && await signalGroup(run, { target, signal: "0" }) === true;
    },
    resize: (size) => child.resize(size),
  };
}

/** Whether the group was there to be signalled; null when that could not be tried. */
async function signalGroup(
  run: TrackOptions["run"],
  { target, signal }: { target: number; signal: string },
): Promise<boolean | null> {
  const killer = await run(`kill -${signal.replace(/^SIG/, "")} ${target}`).catch(() => null);
  if (!killer) return null;
  killer.stdout.cancel();
  killer.stderr.cancel();
  void killer.stdin.close();
  return await killer.exit.then(({ code }) => code === 0, () => false);
}

/** `expired` resolves when that is known; null when the output began otherwise. */
function watchForExpiry(
  source: ByteSource,
  description: string,
): { stderr: ByteSource; expired: Promise<HoldfastError | null> } {
  const decoder = new TextDecoder();
  let said = "";
  let decide: (reason: HoldfastError | null) => void = () => {};
  const expired = new Promise<HoldfastError | null>((resolve) => decide = resolve);
  return {
    expired,
    stderr: {
      cancel() {
        decide(null);
        source.cancel();
      },
      async read() {
        const bytes = await source.read();
        if (said.length < 4096) said += decoder.decode(bytes ?? undefined, { stream: true });
        const reason = passwordExpiry(said, description);
        if (reason || bytes === null || said.length >= 4096) decide(reason);
        return bytes;
      },
    },
  };
}

/** The output after the announcement, and the process id in it; null when the output ends without one. */
function afterAnnouncement(
  source: ByteSource,
  token: string,
): { stdout: ByteSource; announced: Promise<number | null> } {
  let announce: (target: number | null) => void = () => {};
  const announced = new Promise<number | null>((resolve) => announce = resolve);
  const latin = new TextDecoder("latin1");
  let seen: Uint8Array | null = new Uint8Array(0);
  return {
    announced,
    stdout: {
      cancel: () => source.cancel(),
      async read() {
        while (seen !== null) {
          const bytes: Uint8Array | null = await source.read().catch((error) => {
            announce(null);
            throw error;
          });
          if (bytes !== null) seen = concat(seen, bytes);
          const match = new RegExp(`${token} (-?\\d+)\\r?\\n`).exec(latin.decode(seen));
          if (!match && bytes !== null && seen.length < LIMITS.noise) continue;
          const rest: Uint8Array = match ? seen.slice(match.index + match[0].length) : seen;
          seen = null;
          announce(match ? Number(match[1]) : null);
          if (rest.length > 0) return rest;
          if (bytes === null) return null;
        }
        return await source.read();
      },
    },
  };
}
