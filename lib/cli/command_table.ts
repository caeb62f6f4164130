/**
 * The subcommands. `main.ts` runs them from here and `help.ts` describes them. Each is loaded only when
 * it is asked for. `as string` hides the literal from `deno run`, which otherwise reads and analyses every file
 * that could be imported before the first line runs; bundlers and the import checks still see it.
 */

import type { OptionSpec, OptionTable } from "./options.ts";

/** What the file of a subcommand exports. */
export interface CommandModule {
  /** Its command line, `holdfast exec [options] TARGET ...`; several lines when it has several forms. */
  usage: string;
  /** What it hands to `parseOptions`, and what its help prints. */
  options: OptionTable;
  /** Options that it reads by itself, for completions. */
  ownOptions?(): Promise<OptionSpec[]>;
  /** Carries it out and resolves to the exit status. What it throws is reported by `main.ts`. */
  run(args: string[]): Promise<number>;
}

/** A subcommand before it is loaded. */
export interface Command {
  /** One line for the overview, without a full stop. */
  summary: string;
  /** Left out of the overview: other programs call it. */
  hidden?: true;
  /** It reads the others. In a built file it is no part of its own, but in the one of `help`, which has them all. */
  readsOthers?: true;
  load(): Promise<CommandModule>;
}

/** By name, in the order of the overview. Look names up with `Object.hasOwn`: they come from argv. */
export const COMMANDS: Readonly<Record<string, Command>> = {
  exec: { summary: "run a command on the target", load: () => import("./exec.ts" as string) },
  put: { summary: "copy files and trees to the target", load: () => import("./put.ts" as string) },
  fetch: {
    summary: "copy files and trees from the target",
    load: () => import("./fetch.ts" as string),
  },
  client: {
    summary: "carry out actions read from stdin",
    load: () => import("./client.ts" as string),
  },
  ssh: {
    summary: "stand in for ssh: its command line over held connections",
    load: () => import("../dropin/ssh_command.ts" as string),
  },
  stack: {
    summary: "show what the name of a target stands for",
    load: () => import("./stack.ts" as string),
  },
  status: {
    summary: "show the daemon and its connections",
    load: () => import("./status.ts" as string),
  },
  disconnect: {
    summary: "close the connection to a target",
    load: () => import("./disconnect.ts" as string),
  },
  unprovision: {
    summary: "remove the runtime that a target was given",
    load: () => import("./unprovision.ts" as string),
  },
  stop: { summary: "stop the daemon", load: () => import("./stop.ts" as string) },
  daemon: {
    summary: "hold the connections (started on demand)",
    load: () => import("./daemon.ts" as string),
  },
  install: {
    summary: "copy this program to a directory on PATH, with completions",
    readsOthers: true,
    load: () => import("./install.ts" as string),
  },
  setup: {
    summary: "make plain ssh use held connections for chosen hosts",
    load: () => import("./setup.ts" as string),
  },
  completions: {
    summary: "print what makes a shell complete command lines",
    readsOthers: true,
    load: () => import("./completions.ts" as string),
  },
  bootstrap: {
    summary: "become a context (a parent starts it on a target)",
    hidden: true,
    load: () => import("./bootstrap.ts" as string),
  },
  askpass: {
    summary: "put a question of OpenSSH's client to the user",
    hidden: true,
    load: () => import("./askpass.ts" as string),
  },
};
