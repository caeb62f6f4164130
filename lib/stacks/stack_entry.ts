/** What a name stands for, wherever it was defined: `hosts_file.ts` and `inventory.ts` make it, `stack_resolver.ts` resolves it. */

import type { SshOptions } from "../rendezvous/ssh_options.ts";
import type { Hop } from "../rendezvous/target.ts";
import type { Secret } from "./secret.ts";

interface Defined {
  name: string;
  /** Where, for people: `/home/ann/.config/holdfast/hosts.toml:12`. No two entries of one name have the same. */
  source: string;
}

/** Another word for a whole TARGET. Its names are looked up in turn. */
export interface StackAlias extends Defined {
  kind: "alias";
  stack: Hop[];
}

/** A machine, with the way that leads there. */
export interface StackMachine extends Defined {
  kind: "machine";
  /** Hops before it; their names are looked up in turn. */
  via: Hop[];
  /** `inventory`: names of `via` are hosts of the inventory, passed through without becoming anyone there. */
  viaScope: "all" | "inventory";
  /** Itself; its host is not looked up again. */
  hop: Hop;
  /** User and port included. For a container: `user` is the user inside. */
  options: SshOptions;
  password?: Secret;
  /** Who one becomes there. */
  become?: { hop: Hop; password?: Secret };
}

export type StackEntry = StackAlias | StackMachine;
