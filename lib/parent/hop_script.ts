/** What runs inside a hop before the first stage: makes a login's surroundings, and says that it is there. */

export interface HopScriptOptions {
  /** Random; nothing else says it. */
  mark: string;
  /** The tool made the environment the new user's. */
  setsLogin: boolean;
  /** The tool reads its password from a terminal, through a relay that must end before the link begins. */
  relayed: boolean;
}

/** What the tool hands on is the old user's, or nothing: the new one's entry says what a login would have. */
const LOGIN = `u=$(id -u);IFS=:;set -f;` +
  `set -- $({ getent passwd $u||grep -m1 "^[^:]*:[^:]*:$u:" /etc/passwd;} 2>/dev/null);` +
  `[ "$6" ]&&export USER=$1 LOGNAME=$1 HOME=$6 SHELL=$7;set +f;unset IFS ` +
  `XDG_RUNTIME_DIR XDG_CACHE_HOME DBUS_SESSION_BUS_ADDRESS SSH_AUTH_SOCK;` +
  `[ "$u" != 0 ]||PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin;`;

/** An account without a login shell can run commands all the same. LANGUAGE was for the tool's messages. */
const SURROUNDINGS = `case $SHELL in *nologin|*/false)SHELL=;esac;[ -x "$SHELL" ]||SHELL=/bin/sh;` +
  `export SHELL HOME="\${HOME:-/}";unset LANGUAGE;cd "$HOME" 2>/dev/null||cd /;`;

/** Says that it is ready and waits for the last line of the relay; su's stdin is the terminal, doas's is not. */
const RELAYED = `echo $m-ready >&2;if [ -t 0 ];then read x;exec <&3 >&4 3<&- 4>&-;` +
  `else read x </dev/tty;fi;`;

/**
 * `line` for a POSIX shell, after what makes it a login. The announcement, on both outputs, is put together by the
 * shell, so that no tool that quotes the script in a message can pass for it.
 */
export function hopScript(line: string, options: HopScriptOptions): string {
  return `m=${options.mark};${options.setsLogin ? "" : LOGIN}${SURROUNDINGS}` +
    `${options.relayed ? RELAYED : ""}echo $m-open >&2;echo $m-open;${line}`;
}
