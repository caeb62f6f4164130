/** `-f`: goes on in the background once the connection is there. Loaded for that only. */
import { selfCommand } from "../rendezvous/self_command.ts";
import { IN_BACKGROUND } from "./session_work.ts";

/**
 * Starts the same command line again in a session of its own, where nothing is asked any more. Resolves when its work is
 * under way (its forwards listen, its command runs), or with its status when it came to nothing.
 */
export async function goOnInBackground(words: readonly string[]): Promise<number> {
  const ready = Promise.withResolvers<number>();
  Deno.addSignalListener("SIGUSR2", () => ready.resolve(0));
  const [program, ...args] = selfCommand("ssh");
  const child = new Deno.Command(program, {
    args: [...args, ...words],
    env: { [IN_BACKGROUND]: String(Deno.pid) },
    stdin: "null",
    stdout: "inherit",
    stderr: "inherit",
    detached: true,
  }).spawn();
  child.unref();
  return await Promise.race([ready.promise, child.status.then(({ code }) => code)]);
}
