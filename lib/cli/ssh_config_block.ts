/** The lines that `holdfast setup ssh-config` keeps in a user's ssh_config, as text. For `setup.ts`. */

import { GUARD } from "../rendezvous/ssh_config_guard.ts";

const BEGIN = "# >>> holdfast setup ssh-config";
const END = "# <<< holdfast setup ssh-config";

/**
 * For these hosts, through this program. Where the daemon holds a connection to one, ssh asks it for a session; otherwise
 * it logs in through a connection that is then held, to the host's own sshd.
 */
export function sshConfigBlock(
  hosts: string[],
  { program, control }: {
    /** The words that start `holdfast ssh`. */
    program: string[];
    /** What ssh is told about control sockets. */
    control: string[];
  },
): string {
  const words = program.map(quote).join(" ").replaceAll("%", "%%");
  return [
    `${BEGIN}: plain ssh to these hosts uses held connections; undo: holdfast setup ssh-config --remove`,
    `Match originalhost ${hosts.join(",")} ${GUARD}`,
    `  ProxyCommand ${words} -W localhost:%p %n`,
    ...control.map((line) => `  ${line}`),
    // What follows is not meant by the Match.
    "Host *",
    END,
    "",
  ].join("\n");
}

/** The daemon's sockets. */
export function daemonControl(pattern: string): string[] {
  return [`ControlPath "${pattern}"`];
}

/** ssh's own sockets, where the daemon has none: a login is kept for a minute. Only the user can write to `directory`. */
export function ownControl(directory: string): string[] {
  const path = `"${directory.replaceAll("%", "%%")}/hf-%C"`;
  return ["ControlMaster auto", `ControlPath ${path}`, "ControlPersist 60"];
}

/** The hosts of a file's block; none where it has none. */
export function hostsInBlock(text: string): string[] {
  const { block } = split(text);
  const [, hosts] = /^Match originalhost (\S+)/m.exec(block) ?? [];
  return hosts?.split(",") ?? [];
}

/** The file with that block in the place of its own, or before everything else: ssh takes the first value that it finds. */
export function withBlock(text: string, block: string): string {
  const { before, after } = split(text);
  return before + block + after;
}

function split(text: string): { before: string; block: string; after: string } {
  const begin = text.startsWith(BEGIN) ? 0 : text.indexOf(`\n${BEGIN}`) + 1;
  const end = text.indexOf(`\n${END}`, begin);
  if ((begin === 0 && !text.startsWith(BEGIN)) || end < 0) {
    return { before: "", block: "", after: text };
  }
  const next = text.indexOf("\n", end + 1);
  const behind = next < 0 ? text.length : next + 1;
  return {
    before: text.slice(0, begin),
    block: text.slice(begin, behind),
    after: text.slice(behind),
  };
}

function quote(word: string): string {
  return /^[\w./=:@%+-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`;
}
