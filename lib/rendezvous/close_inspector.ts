/**
 * On SIGUSR1 Deno opens its debugger on loopback, where every local user can reach it, and has no option against
 * that. So whoever gets that signal, client or daemon, calls this.
 */

/** Milliseconds after the signal at which the debugger is closed, since it opens on a thread of its own. */
const MOMENTS = [0, 5, 20, 100, 500];

/** Closes the debugger as soon as it is there; resolves after the last look. */
export async function closeInspector(): Promise<void> {
  const { close } = await import("node:inspector" as string);
  let passed = 0;
  for (const moment of MOMENTS) {
    await new Promise((resolve) => setTimeout(resolve, moment - passed));
    passed = moment;
    try {
      close();
    } catch {
      // It was not open.
    }
  }
}
