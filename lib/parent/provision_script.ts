/**
 * What a target's own shell does to be given a runtime, where there is no other: it looks around, takes the built file
 * and unpacks it. Driven line by line by `provision_shell.ts`; the layout is that of a built file's own cache
 * (`scripts/build/head.sh`), so that either finds what the other put there.
 */

/** Bytes of which the offsets of a transfer are multiples. */
export const BLOCK = 4096;

/** What the libraries of a Linux must have for Deno, besides the loader. */
const LIBRARIES = "libc.so.6 libdl.so.2 libgcc_s.so.1 libm.so.6 libpthread.so.0 librt.so.1";

/**
 * Functions, each of which answers with lines that begin with `hf:`. Tools that are missing are busybox's, if that is
 * there. Whatever goes wrong while bytes are taken ends the shell: it must not take the rest of them for lines.
 * In this text `$\{` is the shell's `${`; indentation and comments are not sent.
 */
export const PROVISION_SCRIPT: string = String.raw`
say() { printf 'hf:%s\n' "$*"; }
have() { command -v "$1" >/dev/null 2>&1; }
for t in cat chmod dd df find grep gzip head id ls mkdir mv ps rm rmdir sha256sum tail tar uname; do
  have "$t" || ! have busybox || ! busybox "$t" --help >/dev/null 2>&1 || eval "$t() { busybox $t \"\$@\"; }"
done

sum() {
  if have sha256sum; then sha256sum <"$1"
  elif have shasum; then shasum -a 256 <"$1"
  else openssl dgst -sha256 -r <"$1"
  fi
}
size() { ls -lnd "$1" 2>/dev/null | { read -r _ _ _ _ n _; echo "$n"; }; }
own() { [ -d "$1" ] && [ -O "$1" ] && [ ! -h "$1" ]; }
trusted() {
  own "$1" || { why="it is not ours" && return 1; }
  [ "$1" != "$(home)" ] || return 0
  case $(ls -ld "$1") in drwx------*) ;; *) why="it is not ours alone" && return 1 ;; esac
}

# The directories that a built file would take, best first; others can write beside all but the first.
home() {
  case $\{XDG_CACHE_HOME-} in /*) echo "$XDG_CACHE_HOME/holdfast" ;; *) echo "$\{HOME:+$HOME/.cache/holdfast}" ;; esac
}
bases() {
  home
  echo "$\{XDG_RUNTIME_DIR:+$XDG_RUNTIME_DIR/holdfast}"
  u=$(id -u)
  [ ! -d /dev/shm ] || echo "/dev/shm/holdfast-$u"
  echo "/tmp/holdfast-$u"
}
leave() {
  rmdir "$1" 2>/dev/null && case $1 in */.cache/holdfast) rmdir "$\{1%/*}" 2>/dev/null ;; esac
}

# Whether programs can be put and run there. Another parent that looks around leaves an empty directory, and may take
# it away in between.
try() { try_once "$1" || try_once "$1" || try_once "$1"; }
try_once() {
  why=$({ (umask 077 && mkdir -p "$1") >/dev/null; } 2>&1) || { why="it cannot be made ($\{why##*: })" && return 1; }
  trusted "$1" || return 1
  why=$({ (umask 077 && printf '#!/bin/sh\nexit 0\n' >"$1/try.$$") >/dev/null; } 2>&1) ||
    { why="it cannot be written ($\{why##*: })" && rm -f "$1/try.$$" && return 1; }
  chmod 700 "$1/try.$$" && "$1/try.$$" 2>/dev/null || { why="programs do not run from there" && rm -f "$1/try.$$" && return 1; }
  rm -f "$1/try.$$"
}
free() { df -Pk "$1" 2>/dev/null | { read -r _; read -r _ _ _ n _ && echo "$n"; }; }

libraries() {
  case $(uname -s)-$(uname -m) in
    Linux-x86_64 | Linux-amd64) l=/lib64/ld-linux-x86-64.so.2 ;;
    Linux-aarch64 | Linux-arm64) l=/lib/ld-linux-aarch64.so.1 ;;
    *) return 0 ;;
  esac
  if [ ! -e $l ]; then
    set -- /lib/ld-musl-*
    if [ -e "$1" ]; then say "libraries it has musl, and the runtime needs glibc"
    else say "libraries it has no $l (glibc)"
    fi
    return
  fi
  for n in ${LIBRARIES}; do
    f=
    for d in /lib/*-linux-gnu /usr/lib/*-linux-gnu /lib64 /usr/lib64 /lib /usr/lib; do
      [ -e "$d/$n" ] && f=$d/$n && break
    done
    if [ -z "$f" ]; then
      ldconfig -p 2>/dev/null | grep -q "$n" || { say "libraries it has no $n" && return; }
    elif [ $n = libc.so.6 ] && ! grep -q 'GLIBC_2[.]27' "$f"; then
      say "libraries its glibc is older than 2.27" && return
    fi
  done
}

# PLACE: the built files that are kept there whole.
kept() {
  for f in "$1"/*/holdfast; do [ ! -f "$f" ] || [ ! -O "$f" ] || say "file $f"; done
}
files() {
  bases | while read -r b; do [ -z "$b" ] || ! trusted "$b" || kept "$b"; done
}

runs() { [ -O "$1/deno" ] && DENO_NO_UPDATE_CHECK=1 "$1/deno" --version >/dev/null 2>&1; }

# All that decides what can be done here.
probe() {
  say "system $(uname -s) $(uname -m)"
  for t in cat chmod dd gzip head ls mkdir mv rm tail tar; do have $t || say "missing $t"; done
  [ "$(printf abc | head -c 2)" = ab ] || say "missing head -c"
  have sha256sum || have shasum || have openssl || say "missing sha256sum"
  libraries
  bases | while read -r b; do
    [ "$b" ] || continue
    if try "$b"; then say "place $(free "$b") $b"
    else say "refused $b: $why" && trusted "$b" || continue
    fi
    for f in "$b"/part-*; do [ ! -f "$f" ] || [ ! -O "$f" ] || say "part $(size "$f") $f"; done
    for f in "$b"/*/ready; do [ ! -O "$f" ] || ! runs "$\{f%/ready}" || say "ready $\{f%/ready}"; done
    kept "$b"
    leave "$b"
  done
  say end
}

# What core a directory has built in.
core() { say "core $(head -c 200 "$1/bootstrap.mjs" 2>/dev/null)"; }

# PART BLOCKS SIZE: takes bytes of it. Several may be at it at once: they write the same, and the first to have all of it
# takes it away.
take() {
  for i in 1 2 3; do (umask 077 && mkdir -p "$\{1%/*}" && : >>"$1") 2>/dev/null && break; done
  head -c $3 | dd of="$1" bs=${BLOCK} seek=$2 conv=notrunc 2>/dev/null &&
    n=$(size "$1") && [ "$\{n:-$(($2 * ${BLOCK} + $3))}" -ge $(($2 * ${BLOCK} + $3)) ] && say took || { say "failed it cannot be written; the disk may be full"; exit 1; }
}

running() {
  for p in /proc/[0-9]*; do [ "$p/exe" -ef "$1/deno" ] && return 0; done
  [ -e /proc/self/exe ] && return 1
  ps -axo command 2>/dev/null | grep -qF "$1/deno"
}

# PLACE DIRECTORY: older versions go, but none that runs, and none of another machine with the same home.
clean() {
  for o in "$1"/*/holdfast; do
    o=$\{o%/holdfast}
    [ ! -f "$o/holdfast" ] || [ "$o" = "$2" ] || running "$o" || { [ -f "$o/ready" ] && ! runs "$o"; } || rm -rf "$o"
  done
  find "$1" -name 'part-*' -mtime +1 -exec rm -f {} \; 2>/dev/null
}

# PLACE PART DIGEST DIRECTORY: what was taken is kept there, when it is what it should be.
keep() {
  s=$(sum "$2" 2>/dev/null)
  d=$1/$4
  [ "$\{s%%[!0-9a-f]*}" = "$3" ] && (umask 077 && mkdir -p "$d") && chmod 700 "$2" && mv -f "$2" "$d/holdfast" 2>/dev/null
  if [ -f "$d/holdfast" ]; then
    rm -f "$2"
    clean "$1" "$d"
    say kept
  elif [ "$\{s%%[!0-9a-f]*}" = "$3" ]; then say "failed it cannot be written"
  else
    rm -f "$2"
    leave "$1"
    say "failed what came is damaged (its checksum is another)"
  fi
}

# PLACE DIRECTORY OFFSET: what is kept becomes programs. One that is there already may be running, and would no longer
# know where it is.
unpack() {
  d=$1/$2 n=$1/$2/new.$$
  [ ! -f "$d/ready" ] || { core "$d"; return; }
  if (umask 077 && mkdir -p "$n" && tail -c +$3 "$d/holdfast" | gzip -dc 2>/dev/null | (cd "$n" && tar xf - 2>/dev/null)) &&
    chmod 700 "$n/deno" && runs "$n" &&
    (cd "$n" && { ln deno ../deno 2>/dev/null || [ -O ../deno ] || mv -f deno ..; } && mv -f ./*.mjs ..) &&
    : >"$d/ready"; then
    rm -rf "$n"
    clean "$1" "$d"
    core "$d"
  else
    rm -rf "$n"
    [ -f "$d/ready" ] || rm -rf "$d"
    leave "$1"
    say "failed it cannot be unpacked, or its programs do not run there"
  fi
}

# Everything that was put here by a parent, and not by a built file that its user has started.
remove() {
  bases | while read -r b; do
    [ "$b" ] && own "$b" || continue
    for o in "$b"/*/holdfast; do [ ! -f "$o" ] || { rm -rf "$\{o%/holdfast}" && say "removed $\{o%/holdfast}"; }; done
    for o in "$b"/part-*; do [ ! -f "$o" ] || { rm -f "$o" && say "removed $o"; }; done
    leave "$b"
  done
}
`.replaceAll("$\\{", "${").replace(/^(\s+|#.*\n)/gm, "");
