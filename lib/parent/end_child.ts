/** Ends a process that came to nothing: a tool that opened no shell, a core that nobody waits for. For `open_hop.ts` and `bootstrap.ts`. */
import type { Child } from "../core/host.ts";

/** Milliseconds that it gets to end before it is killed. */
const GRACE = 2000;

/**
 * Resolves when it has ended or was killed; gives up on what runs as another user and ignores that its input is
 * closed. What it still says is dropped.
 */
export async function endChild(child: Child): Promise<void> {
  child.stdin.close().catch(() => {});
  // Not at once KILL: su and sudo hand TERM on to what they run. And before the output is given up: without a core it is
  // there that a process says whom to signal.
  child.kill("SIGTERM");
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise((resolve) => timer = setTimeout(resolve, GRACE));
  await Promise.race([child.exit, late]);
  clearTimeout(timer);
  child.stdout.cancel();
  child.stderr.cancel();
  if (await child.isAlive()) child.kill("SIGKILL");
}
