/** `-f`: goes on in the background once the connection is there. Loaded for that only. */
import { selfCommand } from "../rendezvous/self_command.ts";
import { IN_BACKGROUND } from "./session_work.ts";

/** Starts the same command line again in a session of its own, where nothing is asked any more. */
export function goOnInBackground(words: readonly string[]): number {
  const [program, ...args] = selfCommand();
  const child = new Deno.Command(program, {
    args: [...args, "ssh", ...words],
    env: { [IN_BACKGROUND]: "1" },
    stdin: "null",
    stdout: "inherit",
    stderr: "inherit",
    detached: true,
  }).spawn();
  child.unref();
  return 0;
}
