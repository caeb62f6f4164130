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
  child.stdout.cancel();
  child.stderr.cancel();
  // Not at once KILL: su and sudo hand TERM on to what they run.
  child.kill("SIGTERM");
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise((resolve) => timer = setTimeout(resolve, GRACE));
  await Promise.race([child.exit, late]);
  clearTimeout(timer);
  if (await child.isAlive()) child.kill("SIGKILL");
}
