_holdfast_hosts() {
  local file=${HOLDFAST_HOSTS:-${XDG_CONFIG_HOME:-$HOME/.config}/holdfast/hosts.toml}
  @HOSTS@
}

# The last hop of a TARGET.
_holdfast_target() {
  local -a hosts=(${(f)"$(_holdfast_hosts)"}) methods=(@METHODS@)
  compset -P '*[,@]'
  compadd -a hosts
  [[ $IPREFIX == *@ ]] || compadd -S '' -a methods
}

_holdfast() {
  local curcontext=$curcontext
  if (( CURRENT == 2 )); then
    local -a commands=(
@NAMES@
    )
    _describe -t commands command commands
    return
  fi
  shift words
  (( CURRENT-- ))
  case $words[1] in
@COMMANDS@
  esac
}

if [[ $funcstack[1] == _holdfast ]]; then
  _holdfast "$@"
else
  compdef _holdfast holdfast
fi
