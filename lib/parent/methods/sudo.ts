/** The connection method `sudo[=USER]`, USER being root when absent. */
import type { ConnectionMethod } from "../connection_method.ts";

/**
 * `-H` and not `-i`: a login shell would read profiles, which takes time, can ask, hang or print, and does not
 * exist for accounts such as www-data. sudo sets USER, LOGNAME and SHELL of the new user either way.
 */
export const sudo: ConnectionMethod = {
  words: (script, { argument: user = "root" }) => [
    ..."sudo -S -H -p".split(" "),
    "[sudo] password for %p: ",
    ...["-u", user, "--", "sh", "-c", script],
  ],
  setsLogin: true,
  asks: true,
  terminal: { wanted: /must have a tty|no tty present|terminal is required/, reads: "stdin" },
  noun: "user",
  absent: /unknown user/,
  denied: /not in the sudoers|not allowed|may not run|no new priv|setuid/,
};
