/** Our terminal while a command on another one has it: raw in both directions. For `exec -t` and the drop-in. */
import { rawMode } from "./ask.ts";

/** Until it is disposed of. Standard input is the terminal. */
export function rawTerminal(): Disposable {
  const raw = rawMode(Deno.stdin);
  // Deno's raw mode leaves output as it is, where a line feed also goes back to the line's beginning: a program that
  // draws on the whole screen means none. What restores the terminal undoes this, too.
  try {
    const options = { stdin: "inherit", stdout: "null", stderr: "null" } as const;
    new Deno.Command("stty", { args: ["-opost"], ...options }).outputSync();
  } catch {
    // A machine without stty draws less well.
  }
  return raw;
}
