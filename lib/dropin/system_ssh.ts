/** The ssh that the system has, for what only it can do. Found on PATH, and never ourselves. For `ssh_command.ts`. */
import { restoreEnvironment } from "../rendezvous/build_info.ts";
import { statusOf } from "../client/remote_process.ts";
import { HoldfastError } from "../core/errors.ts";
import { realSsh } from "../rendezvous/real_ssh.ts";

/** Holds the id of a process of ours that started the system's ssh. */
const HANDED_BY = "HOLDFAST_SSH_HANDED_BY";

const FORWARDED = ["INT", "TERM", "HUP", "QUIT", "USR1", "USR2"] as const;

/** Its path; null where there is none, or where `HOLDFAST_SSH=never` says not to use it. */
export function findSystemSsh(): string | null {
  if (Deno.env.get("HOLDFAST_SSH") === "never") return null;
  // Its "ssh" was a script that led back here without being recognised.
  if (Deno.env.get(HANDED_BY) === String(Deno.ppid)) return null;
  return realSsh(Deno.env.get("PATH"));
}

/**
 * Lets the system's ssh carry out a whole command line in this process's place; resolves with its exit status.
 * `why` is the option that needs it.
 */
export async function handOver(
  words: readonly string[],
  { why }: { why: string },
): Promise<number> {
  const program = findSystemSsh();
  if (program === null) {
    const never = Deno.env.get("HOLDFAST_SSH") === "never";
    const reason = never ? "HOLDFAST_SSH=never forbids it" : "there is none on PATH";
    throw new HoldfastError(
      "refused",
      `Cannot carry out ${why}: only the system's ssh can, and ${reason}`,
    );
  }
  restoreEnvironment();
  const child = new Deno.Command(program, {
    args: [...words],
    env: { [HANDED_BY]: String(Deno.pid) },
    stdin: "inherit",
    stdout: "inherit",
    stderr: "inherit",
  }).spawn();
  for (const name of FORWARDED) Deno.addSignalListener(`SIG${name}`, () => kill(child, name));
  const { code, signal } = await child.status;
  return statusOf(signal === null ? { code, signal } : { code: null, signal });
}

function kill(child: Deno.ChildProcess, name: typeof FORWARDED[number]): void {
  try {
    child.kill(`SIG${name}`);
  } catch {
    // It has ended.
  }
}
