/** Runs `ansible-inventory`, for `inventory_files.ts`. */

import { HoldfastError } from "../core/errors.ts";
import { printable } from "../core/printable.ts";
import { quoteWords } from "../core/quote.ts";

/** Milliseconds: dynamic inventories ask clouds. */
const DEADLINE = 60_000;

export interface InventoryCommand {
  /** What follows `-i`, in order; at least one. */
  paths: string[];
  /** Where it runs: an ansible.cfg there counts. */
  directory: string;
  env: Record<string, string>;
  signal: AbortSignal;
}

/**
 * What `ansible-inventory --list` prints.
 *
 * @throws {HoldfastError} `resolve` when there is none or it fails, `timeout`, `cancelled`; never with its words:
 * they quote lines of the inventory, which may be passwords
 */
export async function runAnsibleInventory(
  { paths, directory, env, signal }: InventoryCommand,
): Promise<string> {
  const args = [...paths.flatMap((path) => ["-i", path]), "--list"];
  const given = `Cannot read inventory "${printable(paths.join(", "))}"`;
  if (signal.aborted) throw new HoldfastError("cancelled", `${given}: given up`);
  const child = start(args, { directory, env, given });
  let late = false;
  const end = () => killGroup(child.pid);
  const timer = setTimeout(() => {
    late = true;
    end();
  }, DEADLINE);
  signal.addEventListener("abort", end);
  try {
    const { success, code, stdout } = await child.output();
    if (success) return new TextDecoder().decode(stdout);
    if (late) {
      const text = `${given}: ansible-inventory gave no answer in ${DEADLINE / 1000} s`;
      throw new HoldfastError("timeout", text);
    }
    if (signal.aborted) throw new HoldfastError("cancelled", `${given}: given up`);
    const command = printable(quoteWords(["ansible-inventory", ...args]));
    throw new HoldfastError(
      "resolve",
      `${given}: ansible-inventory ended with status ${code}\nTo see why, run in ${
        printable(directory)
      }: ${command}`,
    );
  } finally {
    clearTimeout(timer);
    signal.removeEventListener("abort", end);
  }
}

function start(
  args: string[],
  { directory, env, given }: { directory: string; env: Record<string, string>; given: string },
): Deno.ChildProcess {
  try {
    return new Deno.Command("ansible-inventory", {
      args,
      cwd: directory,
      // Otherwise it takes what it cannot read for an empty inventory.
      env: { ...env, ANSIBLE_INVENTORY_UNPARSED_FAILED: "true" },
      clearEnv: true,
      detached: true,
      stdin: "null",
      stdout: "piped",
      stderr: "null",
    }).spawn();
  } catch (cause) {
    const why = cause instanceof Deno.errors.NotFound
      ? "there is no ansible-inventory here; install ansible-core"
      : (cause as Error).message;
    throw new HoldfastError("resolve", `${given}: ${why}`, { cause });
  }
}

/** With the scripts that it has started. */
function killGroup(pid: number): void {
  try {
    Deno.kill(-pid, "SIGKILL");
  } catch {
    // It has ended by itself.
  }
}
