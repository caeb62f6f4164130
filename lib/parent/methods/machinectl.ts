/** The connection method `machinectl[=[USER@]MACHINE]`: a machine of systemd-machined, or this one when absent. */
import type { ConnectionMethod } from "../connection_method.ts";

/**
 * By `systemd-run`, as machinectl's manual advises for scripts: `machinectl shell` has a terminal between us and the
 * shell, which bends bytes and hides the end of our input.
 */
export const machinectl: ConnectionMethod = {
  words(script, { argument = ".host" }) {
    const at = argument.indexOf("@");
    return [
      ..."systemd-run --quiet --pipe --wait --collect --no-ask-password".split(" "),
      `--machine=${argument.slice(at + 1)}`,
      ...at < 0 ? [] : [`--uid=${argument.slice(0, at)}`],
      // systemd puts in variables of its own, but for a doubled sign.
      ...["--", "sh", "-c", script.replaceAll("$", "$$$$")],
    ];
  },
  noun: "machine or user",
  absent: /[Nn]o machine|not known|unknown user|Host is down/,
  denied: /ccess denied|authentication required|ermission/,
};
