#!/bin/sh
# holdfast @VERSION@ for @TARGET@, commit @COMMIT@: this text, and behind it a compressed archive of the program and
# its runtime. The first start unpacks it into a directory of the user's own; later ones run it from there, and come
# to that without a process of their own.
hash=@HASH@
# A link to it named ssh stands for `holdfast ssh`.
[ "${0##*/}" = ssh ] && set -- ssh "$@"
case ${1-} in @PARTS@) part=$1 ;; *) part=help ;; esac
# That of exec is kept small; this one has all.
case "$part $*" in "exec "*--with-ssh*) part=help ;; esac
# All functions are compiled at once, and then kept compiled; no garbage is collected in so short a life. Together they
# save a warm exec a sixth of its time.
case $part in
  exec | ssh) engine=--no-lazy,--min-semi-space-size=8 ;;
  # Blocks of a large file are garbage at once; not each 64 MB of them is worth a look at all that lives.
  put | fetch) engine=--initial-heap-size=64 ;;
  *) engine= ;;
esac
case ${XDG_CACHE_HOME-} in
  /*) home=$XDG_CACHE_HOME/holdfast ;;
  *) home=${HOME:+$HOME/.cache/holdfast} ;;
esac

# Whether all of it is there and our own: with sudo, HOME may be somebody else's.
complete() {
  [ -O "$1" ] && [ ! -h "$1" ] && [ -O "$1/ready" ] && [ -O "$1/deno" ] && [ -O "$1/$part.mjs" ]
}

# Becomes the program in a directory. What it changes in the environment is changed back before other programs start.
start() {
  dir=$1
  shift
  export HF_FILE="$0"
  export HF_DENO_DIR="${DENO_DIR-}" DENO_DIR="$dir/cache"
  export HF_DENO_NO_UPDATE_CHECK="${DENO_NO_UPDATE_CHECK-}" DENO_NO_UPDATE_CHECK=1
  export HF_DENO_DISABLE_NODE_SHIM="${DENO_DISABLE_NODE_SHIM-}" DENO_DISABLE_NODE_SHIM=1
  exec "$dir/deno" run --allow-all --quiet ${engine:+--v8-flags=$engine} @FLAGS@ "$dir/$part.mjs" "$@"
}

fail() {
  printf 'holdfast: %s\n' "$*" >&2
  exit 255
}

# What follows is for connections that the daemon holds (lib/mux): the system's ssh asks it for the session over a control
# socket, in half the time that it takes to start the program. All else is the program's.

# Where a daemon of this version has its sockets, as $at; its process is $daemon.
find_sockets() {
  at=${HOLDFAST_DIR:-${XDG_RUNTIME_DIR:+$XDG_RUNTIME_DIR/holdfast}}
  if [ -z "$at" ]; then
    for at in /tmp/holdfast-*; do
      case ${at#/tmp/holdfast-} in *[!0-9]*) ;; *) [ ! -O "$at" ] || break ;; esac
      at=
    done
  fi
  # In others ssh, or the shell that it starts, would see more than a path.
  case $at in [!/]* | *[!A-Za-z0-9/._@,:+\ -]*) return 1 ;; esac
  [ -O "$at" ] && [ ! -h "$at" ] && [ -O "$at/ssh/daemon" ] && [ -x "$at/ssh/program" ] &&
    read -r daemon version <"$at/ssh/daemon" &&
    [ "$version" = @VERSION@ ] && [ -e "/proc/$daemon/exe" ] # where it is a zombie, too, there is none
}

# ssh's usual words for a command.
of_session() {
  case $1 in
    ControlPath=none) return 1 ;;
    SendEnv[\ =]* | SetEnv[\ =]* | [Bb]atch[Mm]ode[\ =]* | RequestTTY=no | RemoteCommand=none) ;;
    ForwardAgent[\ =]no | ForwardX11[\ =]no | ClearAllForwardings[\ =]yes | PermitLocalCommand[\ =]no) ;;
    ControlMaster=* | ControlPersist=* | ControlPath=* | ConnectTimeout=*) ;;
    # How nobody logs in once more.
    KbdInteractiveAuthentication=no | PasswordAuthentication=no | PreferredAuthentications=*) ;;
    User=*)
      word=${1#User=} && word=${word#\"} && word=${word%\"}
      case $word in "" | *[!A-Za-z0-9._-]*) return 1 ;; esac
      user=${user:-$word@}
      ;;
    *) return 1 ;;
  esac
}
held_ssh() {
  [ -z "${HOLDFAST_SSH-}${HOLDFAST_HOSTS-}" ] && find_sockets || return
  shift
  user= value= to= config= command= asks=
  for word; do
    case $value in
      o) of_session "$word" || return ;;
      l) user=$word@ ;;
      F) config=$word ;;
    esac
    [ -z "$value" ] || { value= && continue; }
    [ -z "$to" ] || case $word in -*) return ;; *) command=$word && break ;; esac # options may follow
    case $word in
      -l | -o | -F) value=${word#-} ;;
      -o*) of_session "${word#-o}" || return ;;
      -G) asks=1 command=- ;;
      -- | -[CTnqsx]) ;;
      -tt) [ ! -t 0 ] || return ;; # on a terminal, ours does more
      -*) return ;;
      *) to=$user$word ;;
    esac
  done
  held=$at/ssh/to$config/$to
  [ "$command" ] && [ -S "$held" ] && [ ! "${config:-$HOME/.ssh/config}" -nt "$held" ] &&
    [ ! "${XDG_CONFIG_HOME:-$HOME/.config}/holdfast/hosts.toml" -nt "$held" ] || return
  [ -z "$asks" ] || exec "$at/ssh/program" "$@"
  exec "$at/ssh/program" -S "$at/ssh/%C" -o ControlMaster=no "$@"
}

# exec TARGET COMMAND. This shell stays, for the signals that the command is to get; see lib/daemon/held_exec.ts.
held_exec() {
  shift
  HOLDFAST_CONFIG=
  [ "${1-}" != -F ] || { HOLDFAST_CONFIG=${2-} && shift && shift; } || return
  HOLDFAST_EXEC=${1-}
  case $HOLDFAST_EXEC in -* | */* | "") return ;; esac
  find_sockets && [ -f "$at/ssh/held$HOLDFAST_CONFIG/$HOLDFAST_EXEC" ] || return
  shift
  [ "${1-}" != -- ] || shift
  [ "$*" ] && command exec 3<&0 || return
  export HOLDFAST_EXEC HOLDFAST_CONFIG HOLDFAST_HEAD=$$
  missed=$at/ssh/missed.$$
  (
    trap '' INT TERM HUP QUIT USR1 USR2
    ask -o "ProxyCommand=touch '$missed'" -- held "$@"
  ) <&3 3<&- &
  child=$! interrupts=0 name=
  exec 3<&-
  for name in INT TERM HUP QUIT USR1 USR2; do
    # shellcheck disable=SC2064 # the name as it is now
    trap "pass_on $name" $name
  done
  status=
  while :; do
    passed=
    wait "$child"
    last=$?
    # A signal ends the wait, not ssh; whose end is told once.
    [ $last = 127 ] && [ "$status" ] || status=$last
    [ "$passed" ] || break
  done
  trap - INT TERM HUP QUIT USR1 USR2
  unset HOLDFAST_EXEC HOLDFAST_CONFIG HOLDFAST_HEAD
  [ "$status" = 255 ] || exit "$status"
  # The daemon did not take it: nothing has run.
  if [ -e "$missed" ]; then
    rm -f "$missed"
    return
  fi
  # One that was killed is a process until its parent has looked; what it listened at is gone before.
  "$at/ssh/program" -F none -q -S "$at/ssh/exec" -O check held 2>/dev/null ||
    fail "Lost the connection: the daemon went away"
  exit 255
}
ask() {
  exec "$at/ssh/program" -F none -T -q -S "$at/ssh/exec" -o ControlMaster=no \
    -o "SendEnv=HOLDFAST_* PWD @SENT@" "$@"
}
pass_on() {
  passed=1
  [ "$1" != INT ] || interrupts=$((interrupts + 1))
  if [ $interrupts -lt 3 ]; then
    (
      trap '' INT TERM HUP QUIT USR1 USR2
      HOLDFAST_SIGNAL="$1 $child" ask -o ProxyCommand=false -- held signal
    ) </dev/null && return
  fi
  kill -9 "$child" 2>/dev/null
  case $1 in HUP) exit 129 ;; INT) exit 130 ;; QUIT) exit 131 ;; USR1) exit 138 ;; USR2) exit 140 ;; *) exit 143 ;; esac
}
case $part in
  ssh) held_ssh "$@" ;;
  exec) held_exec "$@" ;;
esac

complete "$home/$hash" && start "$home/$hash" "$@"

have() {
  command -v "$1" >/dev/null 2>&1
}

# Whether a directory is ours, and closed to others.
private() {
  [ -d "$1" ] && [ -O "$1" ] && [ ! -h "$1" ] || return 1
  case $(ls -ld "$1") in drwx------*) return 0 ;; *) return 1 ;; esac
}

archive() {
  tail -c +@OFFSET@ "$self"
}

# Waits while somebody who began before us unpacks into a directory: thirty at once would need thirty times the room.
# Not for ever, since the number of one that was killed may be another process's by now.
wait_for_first() {
  for second in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
    complete "$1" && return
    for other in "$1"/new.*; do
      number=${other##*.}
      if ! kill -0 "$number" 2>/dev/null; then
        rm -rf "$other" # by one that was killed
      elif [ "$number" -lt $$ ] && sleep 1 2>/dev/null; then
        continue 2
      fi
    done
    return
  done
}

# Unpacks below a directory; $why tells what went wrong. Several may be at it at once all the same: each file arrives as
# a whole, and last the word that all are there.
unpack() {
  why="it cannot be written"
  (umask 077 && mkdir -p "$1/$hash") 2>/dev/null || return 1
  private "$1/$hash" || { why="it is not ours alone" && return 1; }
  new=$1/$hash/new.$$
  trap 'rm -rf "$new"' EXIT
  trap 'exit 130' INT
  trap 'exit 143' HUP TERM
  if (umask 077 && mkdir "$new") 2>/dev/null; then
    wait_for_first "$1/$hash"
    if complete "$1/$hash"; then
      : # the first has done it for us
    elif ! archive | $inflate 2>/dev/null | (cd "$new" && tar xf - 2>/dev/null); then
      why="it is full"
    # Large writes lie in memory in large pieces, tar's small ones do not: worth a tenth of every later start.
    elif ! (umask 077 && cat "$new/deno" >"$new/large") || ! chmod 700 "$new/large" ||
      ! mv -f "$new/large" "$new/deno"; then
      why="it is full"
    elif ! "$new/deno" --version >/dev/null 2>&1; then
      why="programs do not run from there"
    else
      # One that is there already may be running, and would no longer know where it is.
      (cd "$new" && { ln deno ../deno 2>/dev/null || [ -O ../deno ] || mv -f deno ..; } &&
        mv -f ./*.mjs ..) && : >"$1/$hash/ready"
    fi
    rm -rf "$new"
  fi
  trap - EXIT INT HUP TERM
  complete "$1/$hash"
}

self=$0
for tool in id ls uname; do
  have $tool || fail "Cannot unpack \"$self\": $tool is missing"
done
uid=$(id -u)
session=${XDG_RUNTIME_DIR:+$XDG_RUNTIME_DIR/holdfast}
for base in "$session" "/dev/shm/holdfast-$uid" "/tmp/holdfast-$uid"; do
  private "$base" && complete "$base/$hash" && start "$base/$hash" "$@"
done

case "$(uname -s) $(uname -m)" in
  @SYSTEM@) ;;
  *) fail "Cannot run \"$self\": it is for @TARGET@, and this is $(uname -s) $(uname -m)" ;;
esac
if have sha256sum; then sum=$(archive | sha256sum)
elif have shasum; then sum=$(archive | shasum -a 256)
elif have openssl; then sum=$(archive | openssl dgst -sha256 -r)
else fail "Cannot unpack \"$self\": sha256sum is missing, and shasum and openssl, too"
fi
[ "${sum%%[!0-9a-f]*}" = "$hash" ] ||
  fail "Cannot unpack \"$self\": it is damaged (its checksum is another); copy or build it again"
if have gzip; then inflate="gzip -dc"
elif have busybox; then inflate="busybox gzip -dc"
elif have python3; then inflate="python3 -m gzip -d"
else fail "Cannot unpack \"$self\": gzip is missing, and busybox and python3, too"
fi
for tool in tar cat chmod mkdir mv rm tail; do
  have $tool || fail "Cannot unpack \"$self\": $tool is missing"
done

tried=
for base in "$home" "$session" "/dev/shm/holdfast-$uid" "/tmp/holdfast-$uid"; do
  [ -n "$base" ] || continue
  if [ "$base" != "$home" ]; then
    # Others can write beside it.
    (umask 077 && mkdir "$base") 2>/dev/null
    private "$base" || { tried="$tried; $base is not ours alone" && continue; }
  fi
  unpack "$base" && start "$base/$hash" "$@"
  tried="$tried; $base: $why"
done
fail "Cannot unpack \"$self\": no directory takes it$tried; set XDG_CACHE_HOME to one that does"
