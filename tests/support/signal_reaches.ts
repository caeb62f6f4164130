/** A signal to the client, as a command that catches it sees it: whatever hops lie between. */
import { assertEquals } from "./assert.ts";
import type { Workspace } from "./holdfast.ts";

/** Checks that USR2 reaches a command on the target, which goes on and ends with a status of its own. */
export async function signalReaches(workspace: Workspace, target: string): Promise<void> {
  await using process = await workspace.spawn("exec", [
    target,
    "trap 'echo caught; exit 9' USR2; echo ready; while :; do sleep 0.05; done",
  ]);
  const reader = process.stdout.getReader();
  const read = async () => new TextDecoder().decode((await reader.read()).value);
  assertEquals(await read(), "ready\n");
  process.kill("SIGUSR2");
  assertEquals(await read(), "caught\n");
  assertEquals((await process.status).code, 9);
  await Promise.all([reader.cancel(), process.stderr.cancel()]);
  await process.stdin.close().catch(() => {});
}
