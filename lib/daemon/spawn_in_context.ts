/** A process of a context's core as a host would start it: for a host whose only SSH session is its core's, and for what only a core can do. For `host_connection.ts`. */
import { startProcess } from "../client/remote_process.ts";
import type { Child, SpawnOptions } from "../core/host.ts";
import type { SshSessionOptions } from "../master/direct_host.ts";
import type { Tree } from "./tree.ts";

export async function spawnInContext(
  tree: Tree,
  context: number,
  { command, cwd, env, terminal, session }: SpawnOptions & Pick<SshSessionOptions, "session">,
): Promise<Child> {
  if (terminal) await tree.require(context, "terminals");
  const words = typeof command === "string" ? command : [...command];
  const process = startProcess(tree.router, context, {
    ...{ command: words, cwd, env, terminal, session },
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
