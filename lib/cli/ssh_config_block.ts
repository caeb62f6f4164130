/** The lines that `holdfast setup ssh-config` keeps in a user's ssh_config, as text. For `setup.ts`. */

import { GUARD } from "../rendezvous/ssh_config_guard.ts";

const BEGIN = "# >>> holdfast setup ssh-config";
const END = "# <<< holdfast setup ssh-config";

/**
 * For these hosts, through this program. The first login of a host goes through the held connection, to the host's own
 * sshd; ssh keeps it for a minute, and what comes after it is one more session.
 */
export function sshConfigBlock(
  hosts: string[],
  { program, directory }: {
    /** The words that start `holdfast ssh`. */
    program: string[];
    /** Where ssh has its sockets; only the user can write there. */
    directory: string;
  },
): string {
  const words = program.map(quote).join(" ").replaceAll("%", "%%");
  return [
    `${BEGIN}: plain ssh to these hosts uses held connections; undo: holdfast setup ssh-config --remove`,
    `Match originalhost ${hosts.join(",")} ${GUARD}`,
    `  ProxyCommand ${words} -W localhost:%p %n`,
    "  ControlMaster auto",
    `  ControlPath ${directory.replaceAll("%", "%%")}/hf-%C`,
    "  ControlPersist 60",
    // What follows is not meant by the Match.
    "Host *",
    END,
    "",
  ].join("\n");
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
