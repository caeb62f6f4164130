_holdfast_hosts() {
  local file=${HOLDFAST_HOSTS:-${XDG_CONFIG_HOME:-$HOME/.config}/holdfast/hosts.toml}
  @HOSTS@
}

# Sets what a subcommand takes: its options, those with a value as NAME:KIND, and the kinds of its other words, of which
# one with a + stands for all that follow.
_holdfast_words() {
  case $1 in
@COMMANDS@
  *) options= valued= places= ;;
  esac
}

# The kind of the word at a place, counted from 0.
_holdfast_place() {
  local at=$1 place
  for place in $places; do
    [[ $at == 0 || $place == +* ]] && echo "${place#+}" && return
    at=$((at - 1))
  done
}

# Fills COMPREPLY with what of a kind begins like $cur.
_holdfast_fill() {
  local stem= names flag=-f IFS=$' \t\n'
  case $1 in
  target)
    stem=${cur%"${cur##*[,@]}"}
    names=$(_holdfast_hosts)
    [[ $stem == *@ ]] || names+=" @METHODS@"
    COMPREPLY=($(compgen -P "$stem" -W "$names" -- "${cur#"$stem"}"))
    [[ ${#COMPREPLY[@]} == 1 && $COMPREPLY == *= ]] && compopt -o nospace 2>/dev/null
    ;;
  file | directory)
    [[ $1 == directory ]] && flag=-d
    IFS=$'\n'
    COMPREPLY=($(compgen $flag -- "$cur"))
    compopt -o filenames 2>/dev/null
    ;;
  choices=*)
    names=${1#choices=}
    COMPREPLY=($(compgen -W "${names//,/ }" -- "$cur"))
    ;;
  esac
}

_holdfast() {
  local line=${COMP_LINE:0:COMP_POINT} cur= words word options valued places at=0 kind= rest ended= c part stem=
  COMPREPLY=()
  read -ra words <<<"$line"
  if [[ $line != *[[:space:]] ]]; then
    cur=${words[${#words[@]} - 1]}
    unset "words[$((${#words[@]} - 1))]"
  fi
  if [[ ${#words[@]} -lt 2 ]]; then
    _holdfast_fill 'choices=@NAMES@,--version,--help'
    return
  fi
  _holdfast_words "${words[1]}"
  for word in "${words[@]:2}"; do
    if [[ -n $kind ]]; then # the value of the option before it
      kind=
    elif [[ -z $ended && $word == -- ]]; then
      ended=1
    elif [[ -z $ended && $word == -?* ]]; then
      rest=" $valued "
      rest=${rest#* "$word":}
      [[ $rest == " $valued " ]] || kind=${rest%% *}
    else
      at=$((at + 1))
    fi
    [[ $(_holdfast_place $at) == other ]] && ended=1
  done
  if [[ -n $kind ]]; then
    _holdfast_fill "$kind"
  elif [[ -z $ended && $cur == -* ]]; then
    _holdfast_fill "choices=${options// /,}"
  else
    _holdfast_fill "$(_holdfast_place $at)"
  fi
  # bash replaces only what stands behind the last of these, and from the @ on.
  for c in = : @; do
    [[ $COMP_WORDBREAKS == *"$c"* && $cur == *"$c"* ]] || continue
    part=${cur%"$c"*}
    [[ $c == @ ]] || part+=$c
    [[ ${#part} -gt ${#stem} ]] && stem=$part
  done
  COMPREPLY=("${COMPREPLY[@]#"$stem"}")
}

complete -F _holdfast holdfast
