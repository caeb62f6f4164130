/** The ssh that the system has, for what only it can do. Found on PATH, and never ourselves. For `ssh_command.ts`. */
import { statusOf } from "../client/remote_process.ts";
import { HoldfastError } from "../core/errors.ts";

/** Looked through after PATH. */
const USUAL_DIRECTORIES = ["/usr/bin", "/usr/local/bin", "/bin"];

/** Bytes of a script that are read to see whether it leads back here. */
const SCRIPT_HEAD = 4096;

/** Holds the id of a process of ours that started the system's ssh. */
const HANDED_BY = "HOLDFAST_SSH_HANDED_BY";

const FORWARDED = ["INT", "TERM", "HUP", "QUIT", "USR1", "USR2"] as const;

/** Its path; null where there is none, or where `HOLDFAST_SSH=never` says not to use it. */
export function findSystemSsh(): string | null {
  if (Deno.env.get("HOLDFAST_SSH") === "never") return null;
  // Its "ssh" was a script that led back here without being recognised.
  if (Deno.env.get(HANDED_BY) === String(Deno.ppid)) return null;
  const path = (Deno.env.get("PATH") ?? "").split(":").filter((dir) => dir.startsWith("/"));
  const places = [...path, ...USUAL_DIRECTORIES].map((dir) => `${dir}/ssh`);
  return places.find((place) => isProgram(place) && !isOurs(place)) ?? null;
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

function isProgram(path: string): boolean {
  try {
    const { isFile, mode } = Deno.statSync(path);
    return isFile && (mode! & 0o111) !== 0;
  } catch {
    return false;
  }
}

/** A link to our executable, or a script that starts us. */
function isOurs(path: string): boolean {
  const main = decodeURIComponent(new URL("../../main.ts", import.meta.url).pathname);
  try {
    if (Deno.realPathSync(path) === Deno.realPathSync(Deno.execPath())) return true;
    using file = Deno.openSync(path);
    const head = new Uint8Array(SCRIPT_HEAD);
    const text = new TextDecoder().decode(head.subarray(0, file.readSync(head) ?? 0));
    return text.startsWith("#!") && (text.includes("holdfast") || text.includes(main));
  } catch {
    return false; // One that can be run but not read is no script.
  }
}
