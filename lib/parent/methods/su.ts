/** The connection method `su[=USER]`, USER being root when absent. */
import type { ConnectionMethod } from "../connection_method.ts";

/**
 * Not `su -`: the profiles of a login shell can ask, hang or print. `-s` because the user's own shell may be no POSIX
 * shell, or none at all; su ignores it where that shell restricts.
 */
export const su: ConnectionMethod = {
  words: (script, { argument: user = "root" }) => ["su", "-s", "/bin/sh", "-c", script, "--", user],
  asks: true,
  terminal: { wanted: /must be (run from )?a (terminal|tty)/, reads: "both" },
  noun: "user",
  absent: /does not exist|unknown user|[Nn]o passwd entry/,
  denied: /not available|ermission|not permitted|suid|restricted|expired/,
};
