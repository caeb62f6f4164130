/**
 * What a client hands to the daemon of ssh's own command line; `master/ssh_config.ts` resolves it, and
 * `stacks/stack_resolver.ts` adds what a name stands for.
 */

import type { ProvisionPolicy } from "./provision_policy.ts";

/** ssh's own options, as the user gave them. */
export interface SshOptions {
  /** `-F` */
  configFile?: string;
  /** `-i`, in order */
  identityFiles?: string[];
  /** `-p` */
  port?: number;
  /** `-l`, or the user part of the TARGET */
  user?: string;
  /** `-J` */
  jump?: string;
  /** `-o`, each `Name=value` */
  options?: string[];
  /** `--openssh`: the system's ssh makes the connection, whatever else could. */
  openssh?: boolean;
  /** `--provision`: whether it is given a runtime when it has none. */
  provision?: ProvisionPolicy;
}

/** One of several: of each option the first that says anything wins, files and `-o` come one after the other, as in ssh. */
export function mergeSshOptions(sources: readonly SshOptions[]): SshOptions {
  const first = <K extends keyof SshOptions>(name: K) =>
    sources.find((source) => source[name] !== undefined)?.[name];
  const openssh = first("openssh");
  const provision = first("provision");
  return {
    ...openssh !== undefined && { openssh },
    ...provision !== undefined && { provision },
    configFile: first("configFile"),
    user: first("user"),
    port: first("port"),
    jump: first("jump"),
    identityFiles: sources.flatMap(({ identityFiles = [] }) => identityFiles),
    options: sources.flatMap(({ options = [] }) => options),
  };
}
