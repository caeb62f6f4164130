/** The words after `ssh` with which `openssh_master.ts` starts OpenSSH's client. */

import { quoteWord, quoteWords } from "../core/quote.ts";
import { sshArguments } from "./ssh_config.ts";
import type { SshSettings } from "./ssh_settings.ts";
import { splitJumps } from "./ssh_way.ts";

/** Dead peers are found after `interval * (misses + 1)` seconds without a byte from them, as with ssh2. */
const KEEPALIVE = { interval: 2, misses: 3 };

/** What the master's LocalCommand prints when it is logged in and takes requests. */
export const READY = "holdfast-ready";

/** Of each option ssh takes the first value that it finds: these win over the user's. */
const OURS: readonly string[] = [
  "ControlMaster=yes",
  "ControlPersist=no",
  `ServerAliveInterval=${KEEPALIVE.interval}`,
  `ServerAliveCountMax=${KEEPALIVE.misses}`,
  "PermitLocalCommand=yes",
  `LocalCommand=echo ${READY}`,
  "RemoteCommand=none",
  // What forwards something by itself is for a login, not for a connection that many use.
  "ClearAllForwardings=yes",
  "ForwardX11=no",
  "Tunnel=no",
  // Its lines tell how far it is: see `openssh_talk.ts`.
  "LogLevel=DEBUG1",
];

export interface OpensshWords {
  /** Absolute, at most 90 bytes: ssh makes it under a longer name. */
  controlPath: string;
  /** The way to the host instead of the one in ssh_config. */
  proxyCommand?: string;
}

/**
 * For a private master that runs no command. The user's own options follow ours, so that ssh_config is read exactly as
 * by ssh itself; only jump hosts are spelled out, since they would use the user's own master.
 */
export function opensshArguments(
  settings: SshSettings,
  { controlPath, proxyCommand }: OpensshWords,
): string[] {
  const { host, options } = settings.request;
  const way = proxyCommand ?? jumpCommand(settings);
  const ours = [`ControlPath=${tokenless(controlPath)}`, ...OURS];
  // Before OpenSSH 8.7 there is no such option.
  if (settings.raw.has("forkafterauthentication")) ours.push("ForkAfterAuthentication=no");
  if (way !== null) ours.push(`ProxyCommand=${way}`);
  else if (options.jump === "none") ours.push("ProxyJump=none");
  // "-G" is the first word of it.
  const [, ...given] = sshArguments(host, { ...options, jump: undefined });
  return ["-N", "-T", ...ours.flatMap((option) => ["-o", option]), ...given];
}

/** ssh_config's ProxyJump as the ProxyCommand that ssh would make of it, but never through a master of the user's. */
function jumpCommand({ proxyJump, request }: SshSettings): string | null {
  if (proxyJump === null) return null;
  const { configFile } = request.options;
  // ssh puts "exec" before it.
  const command = (jumps: string): string => {
    const { last, before } = splitJumps(jumps);
    const options = ["ControlMaster=no", "ControlPath=none", "ClearAllForwardings=yes"];
    if (before !== "") options.push(`ProxyCommand=${command(before)}`);
    const words = sshArguments(last.host, { configFile, user: last.user, port: last.port });
    const [, ...given] = words.map(tokenless);
    const ours = options.flatMap((option) => ["-o", tokenless(option)]);
    return `ssh ${quoteWords(ours)} -W ${quoteWord("[%h]:%p")} ${quoteWords(given)}`;
  };
  return command(proxyJump);
}

/** So that ssh reads no `%h` in it. */
function tokenless(text: string): string {
  return text.replaceAll("%", "%%");
}
