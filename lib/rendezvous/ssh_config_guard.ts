/**
 * How the lines of `holdfast setup ssh-config` tell who reads ssh_config: for us they do not count, or a host would be
 * reached through itself. For `setup` and for those in the daemon who start the system's ssh.
 */

/** Set for an ssh that we start for ourselves. */
export const GUARD_ENVIRONMENT: Readonly<Record<string, string>> = { HOLDFAST_RESOLVES: "1" };

/** The criterion of a `Match` line that holds for everybody else. Any shell of a user's can read it. */
export const GUARD = '!exec "test x$HOLDFAST_RESOLVES != x"';
