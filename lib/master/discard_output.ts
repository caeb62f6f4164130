/** Lets a process run to its end whose output nobody wants. */
import type { Child, ExitStatus } from "../core/host.ts";

/** Gives it no input; resolves with its end. */
export function discardOutput(child: Child): Promise<ExitStatus> {
  child.stdout.cancel();
  child.stderr.cancel();
  child.stdin.close().catch(() => {});
  return child.exit;
}
