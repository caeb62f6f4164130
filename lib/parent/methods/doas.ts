/** The connection method `doas[=USER]`, USER being root when absent. */
import type { ConnectionMethod } from "../connection_method.ts";

export const doas: ConnectionMethod = {
  // Where it cannot ask, it must not try: that would count as a wrong password.
  words: (script, { argument: user = "root", terminal }) => [
    ...["doas", ...terminal ? [] : ["-n"], "-u", user],
    ...["--", "sh", "-c", script],
  ],
  setsLogin: true,
  asks: true,
  terminal: { wanted: /Auth\w+ required/, reads: "terminal" },
  noun: "user",
  absent: /unknown user/,
  denied: /not permitted|not enabled|setuid/,
};
