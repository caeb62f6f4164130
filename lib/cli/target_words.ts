/**
 * Shell text that the completions of bash, zsh and fish share: the hosts that can begin a hop, one a line. It reads the
 * files itself, because a start of this program for every press of a key would be felt.
 */

const SSH_FILES = "~/.ssh/config /etc/ssh/ssh_config";

/** The names of `Host` lines. */
const SSH_NAMES = String.raw`'s/^[[:space:]]*[Hh]ost[[:space:]=]\{1,\}\([^#]*\).*/\1/p'`;

/** The names of `[hosts.NAME]` tables, quoted and bare. */
const QUOTED_NAMES = String.raw`'s/^[[:space:]]*\[hosts\."\([^"]*\)"\].*/\1/p'`;
const BARE_NAMES = String.raw`'s/^[[:space:]]*\[hosts\.\([^].]*\)\].*/\1/p'`;

/** One word a line, without patterns. */
const SPLIT = String.raw`tr -s '[:space:]"' '\n' | sed -e '/[*?!]/d' -e '/^$/d'`;

/** The commands; the shell has the place of the hosts file in `$file`. */
export const LIST_HOSTS = [
  `sed -n ${SSH_NAMES} ${SSH_FILES} 2>/dev/null | ${SPLIT}`,
  `sed -n -e ${QUOTED_NAMES} -e ${BARE_NAMES} "$file" 2>/dev/null | ${SPLIT}`,
].join("\n  ");

/** Puts values in the place of `@NAME@`. */
export function fillIn(text: string, values: Record<string, string>): string {
  return text.replaceAll(/@([A-Z]+)@/g, (found, name) => values[name] ?? found);
}
