function __holdfast_hosts
  set -l config ~/.config
  set -q XDG_CONFIG_HOME; and set config $XDG_CONFIG_HOME
  set -l file $config/holdfast/hosts.toml
  set -q HOLDFAST_HOSTS; and set file $HOLDFAST_HOSTS
  @HOSTS@
end

# The last hop of a TARGET.
function __holdfast_targets
  set -l stem (string match -r '.*[,@]' -- (commandline -ct))
  for name in (__holdfast_hosts)
    echo "$stem$name"
  end
  string match -q '*@' -- $stem; and return
  for name in @METHODS@
    echo "$stem$name"
  end
end

# Whether a word of a subcommand is being written, and behind how many that are no options: FIRST at least, LAST at most.
function __holdfast_at -a command first last
  set -l words (commandline -opc)
  test "$words[2]" = "$command"; or return 1
  set -l valued
  switch $command
@VALUED@
  end
  set -l at 0
  set -l skip 0
  set -l ended 0
  for word in $words[3..-1]
    if test $skip = 1
      set skip 0
    else if test $ended = 0; and test "$word" = --
      set ended 1
    else if test $ended = 0; and string match -qr '^-.' -- $word
      contains -- $word $valued; and set skip 1
    else
      set at (math $at + 1)
    end
  end
  test $at -ge $first -a $at -le $last
end

function __holdfast_begins
  test (count (commandline -opc)) -eq 1
end

complete -c holdfast -f
complete -c holdfast -n __holdfast_begins -l version -d 'print the version'
complete -c holdfast -n __holdfast_begins -l help -d 'list the commands'
@COMMANDS@
