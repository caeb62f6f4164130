/** A process of a context's core as a host would start it: for a host whose only SSH session is its core's. For `host_connection.ts`. */
import { startProcess } from "../client/remote_process.ts";
import type { Child, SpawnOptions } from "../core/host.ts";
import type { Tree } from "./tree.ts";

export async function spawnInContext(
  tree: Tree,
  context: number,
  { command, cwd, env, terminal }: SpawnOptions,
): Promise<Child> {
  if (terminal) await tree.require(context, "terminals");
  const words = typeof command === "string" ? command : [...command];
  const process = startProcess(tree.router, context, {
    ...{ command: words, cwd, env, terminal },
    input: true,
  });
  return {
    pid: 0,
    stdin: process.stdin!,
    stdout: process.stdout,
    stderr: process.stderr,
    exit: process.exit,
    kill: (signal) => process.kill(signal.replace(/^SIG/, "")),
    // The core sees to what the group's leader leaves behind.
    isAlive: () => false,
    resize: (size) => process.resize(size),
  };
}
