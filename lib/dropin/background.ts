/** `-f`: goes on in the background once the connection is there. Loaded for that only. */
import { selfCommand } from "../rendezvous/self_command.ts";
import { IN_BACKGROUND, RELEASED } from "./session_work.ts";
import { untilReady } from "./until_ready.ts";

/**
 * Starts the same command line again in a session of its own, where nothing is asked any more. Resolves when its work is
 * under way (its forwards listen, its command runs), or with its status when it came to nothing. With `releases` our
 * output is then given up, as nothing will be written to it.
 */
export async function goOnInBackground(
  words: readonly string[],
  { releases }: { releases: boolean },
): Promise<number> {
  const ready = Promise.withResolvers<number>();
  if (!releases) Deno.addSignalListener("SIGUSR2", () => ready.resolve(0));
  const [program, ...args] = selfCommand("ssh");
  const output = releases ? "piped" : "inherit";
  const child = new Deno.Command(program, {
    args: [...args, ...words],
    env: { [IN_BACKGROUND]: releases ? RELEASED : String(Deno.pid) },
    stdin: "null",
    stdout: output,
    stderr: output,
    detached: true,
  }).spawn();
  child.unref();
  if (releases) return await untilReady(child);
  return await Promise.race([ready.promise, child.status.then(({ code }) => code)]);
}
