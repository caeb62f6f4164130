/** What all hosts resolve alike: relative paths and the words to execute. */
import type { SpawnOptions } from "./host.ts";

/** Relative paths are relative to the home of the context's user. */
export function absolute(host: { home(): string }, path: string): string {
  if (path.startsWith("/")) return path;
  const home = host.home();
  return path === "" ? home : `${home === "/" ? "" : home}/${path}`;
}

/** The words to execute: the login shell's `-c` for a command line, as sshd does it. */
export function shellWords(options: SpawnOptions, shell: string | null): string[] {
  if (typeof options.command !== "string") return [...options.command];
  // sshd gives the shell its bare name, which begins its messages; other shells take no name here.
  const name = /(?:^|\/)(sh|dash|bash|ksh|mksh|zsh)$/.exec(shell!);
  return [shell!, "-c", options.command, ...name ? [name[1]] : []];
}
