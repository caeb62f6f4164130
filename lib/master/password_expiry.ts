/**
 * OpenSSH's server lets a user in whose password has expired, and then runs nothing but a change of it. The one place
 * that knows its words; used by `tracked_child.ts` and `daemon/connection.ts`.
 */
import { HoldfastError } from "../core/errors.ts";

/** The error to tell when `said`, the host's words in place of a command, mean that; else null. */
export function passwordExpiry(said: string, description: string): HoldfastError | null {
  if (!said.includes("Password change required but no TTY available")) return null;
  return new HoldfastError(
    "auth",
    `Cannot run anything as ${description}: the password has expired\n` +
      "Change it there first, in a session of ssh",
  );
}
