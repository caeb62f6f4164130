/** A command's output handed on to readers that may leave, as ssh does it. For the drop-in, and for ssh as our client. */
import { drain } from "../client/execute.ts";
import type { RemoteProcess } from "../client/remote_process.ts";

interface Output {
  write(bytes: Uint8Array): Promise<number>;
}

/** What error output goes to when nobody reads it any more. */
const NOWHERE: Output = { write: (bytes) => Promise.resolve(bytes.length) };

/**
 * Resolves when all has been handed on. Where nobody reads our standard output any more, the command's is closed, too;
 * of its error output it notices nothing. `isGone` tells an error of a write that says so from any other, which rejects.
 */
export async function passOn(
  { stdout, stderr }: Pick<RemoteProcess, "stdout" | "stderr">,
  to: { stdout: Output; stderr: Output; isGone(error: unknown): boolean },
): Promise<void> {
  await Promise.all([
    drain(stdout, to.stdout).catch((error) => {
      if (!to.isGone(error)) throw error;
      stdout.cancel();
    }),
    drain(stderr, to.stderr).catch((error) => {
      if (!to.isGone(error)) throw error;
      return drain(stderr, NOWHERE);
    }),
  ]);
}
