"""The scripts that complete `typefleet` in bash and in zsh, written from what each subcommand takes.

All that is known stands in the script: nothing is asked of Python when a key is pressed.
"""

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby

from simulation.commands.completion_options import (
    FILES,
    FOLDERS,
    SWITCH,
    TEXT,
    WORDS,
    Chooser,
    CompletedCommand,
    Option,
)
from simulation.subcommands import PROGRAM

_BASH_HEAD = """# Completes typefleet in bash, from version 3.2 on: eval "$(typefleet completion bash)"

# REPLY: what the words before the cursor give the flag $1, or else $2.
_typefleet_given() {
  local i
  REPLY=$2
  for ((i = 0; i + 1 < ${#before[@]}; i++)); do
    if [[ ${before[i]} == "$1" ]]; then REPLY=${before[i + 1]}; fi
  done
}

# Offer files or folders, as bash does where there is no completion.
_typefleet_paths() {
  local path
  while IFS= read -r path; do COMPREPLY+=("$path"); done < <(compgen "$1" -- "$cur")
  compopt -o filenames 2>/dev/null || :
}

_typefleet() {
  local IFS=$' \\t\\n' cur=${COMP_WORDS[COMP_CWORD]} before=() word flag= values=0 arguments=0
  local takes= words= many= flags= argument= argument_words= many_arguments= REPLY=
  COMPREPLY=()
  for word in "${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
    if [[ $word != = ]]; then before+=("$word"); fi  # bash cuts --flag=value at its sign
  done
  if [[ $cur == = ]]; then cur=; fi
  if [[ ${#before[@]} == 0 ]]; then
    COMPREPLY=($(compgen -W "$_typefleet_commands --help --version" -- "$cur"))
    return
  fi
  local command=${before[0]}
  if ! declare -F "_typefleet_takes_$command" >/dev/null; then return; fi
  for word in "${before[@]:1}"; do
    if [[ $word == -* && $word != -[0-9.]* ]]; then
      flag=$word values=0 takes=switch words= many=
      "_typefleet_takes_$command" "$flag"
    elif [[ -n $flag && $takes != switch && ($values == 0 || -n $many) ]]; then
      values=$((values + 1))
    else
      flag= arguments=$((arguments + 1))
    fi
  done
  "_typefleet_flags_$command"
  if [[ $cur == -* ]]; then
    COMPREPLY=($(compgen -W "$flags" -- "$cur"))
    return
  fi
  if [[ -z $flag || $takes == switch || ($values != 0 && -z $many) ]]; then
    takes=flags words=
    if [[ $arguments == 0 || -n $many_arguments ]]; then takes=${argument:-flags} words=$argument_words; fi
  fi
  case $takes in
    words) COMPREPLY=($(compgen -W "$words" -- "$cur")) ;;
    files) _typefleet_paths -f ;;
    folders) _typefleet_paths -d ;;
    flags) COMPREPLY=($(compgen -W "$flags" -- "$cur")) ;;
  esac
}
complete -F _typefleet typefleet
"""

_ZSH_HEAD = """#compdef typefleet
# Completes typefleet in zsh: eval "$(typefleet completion zsh)" after compinit, or as the file _typefleet in $fpath

# REPLY: what the command line gives the flag $1, or else $2.
_typefleet_given() {
  local i
  REPLY=$2
  for ((i = 2; i <= $#words; i++)); do
    if [[ $words[i] == "$1" ]]; then REPLY=$words[i+1]; fi
    if [[ $words[i] == "$1"=* ]]; then REPLY=${words[i]#*=}; fi
  done
}
"""

_ZSH_END = """
_typefleet() {
  if ((CURRENT == 2)); then
    _describe -t commands 'typefleet subcommand' _typefleet_commands
    return
  fi
  local command=$words[2]
  shift words
  ((CURRENT--))
  if (($+functions[_typefleet_$command])); then _typefleet_$command; fi
}

if [[ $funcstack[1] == _typefleet ]]; then
  _typefleet "$@"
else
  compdef _typefleet typefleet
fi
"""


def bash_script(commands: Sequence[CompletedCommand]) -> str:
    """A script for bash: two functions a subcommand, one that says what a flag takes and one that lists the flags.

    Args:
        commands: all of them.
    """
    parts = [_BASH_HEAD, f"_{PROGRAM}_commands='{' '.join(one.name for one in commands)}'\n"]
    for one in commands:
        parts += [*_bash_takes(one), *_bash_flags(one)]
    return "\n".join(parts)


def _bash_takes(one: CompletedCommand) -> Iterator[str]:
    yield f"_{PROGRAM}_takes_{one.name}() {{\n  case $1 in"
    for (takes, words, many), options in _grouped(one.flags):
        if takes != SWITCH:
            patterns = "|".join(dict.fromkeys(flag for option in options for flag in option.flags))
            said = f" words='{' '.join(words)}'" if words else ""
            yield f"    {patterns}) takes={takes}{said}{' many=1' if many else ''} ;;"
    yield "  esac\n}"


def _grouped(options: Iterable[Option]) -> Iterator[tuple[tuple[str, tuple[str, ...], bool], list[Option]]]:
    """Flags that take the same."""

    def taken(option: Option) -> tuple[str, tuple[str, ...], bool]:
        return option.takes, option.words, option.many

    for key, same in groupby(sorted(options, key=taken), taken):
        yield key, list(same)


def _bash_flags(one: CompletedCommand) -> Iterator[str]:
    yield f"_{PROGRAM}_flags_{one.name}() {{\n  flags='{_names(o for o in one.flags if o.with_kind is None)}'"
    if one.argument is not None:
        words = f" argument_words='{' '.join(one.argument.words)}'" if one.argument.words else ""
        many = " many_arguments=1" if one.argument.many else ""
        yield f"  argument={one.argument.takes}{words}{many}"
    for chooser, by_kind in _by_kind(one):
        yield f"{_given(chooser)}\n  case $REPLY in"
        yield from (f"    {kind}) flags+=' {_names(options)}' ;;" for kind, options in by_kind)
        yield "  esac"
    yield "}\n"


def _names(options: Iterable[Option]) -> str:
    return " ".join(flag for option in options for flag in option.flags)


def _by_kind(one: CompletedCommand) -> Iterator[tuple[Chooser, list[tuple[str, list[Option]]]]]:
    """What chooses a kind, and each kind's own flags."""
    for chooser in one.kinds:
        own = [o for o in one.options if o.with_kind is not None and o.with_kind[0] == chooser.flag]
        kinds = dict.fromkeys(o.with_kind[1] for o in own if o.with_kind is not None)
        if kinds:
            yield chooser, [(kind, [o for o in own if o.with_kind == (chooser.flag, kind)]) for kind in kinds]


def _given(chooser: Chooser) -> str:
    """Lines, of both shells alike, that put the chosen kind into REPLY."""
    lines, default = [], chooser.default
    for flag, kind in chooser.implied_by:
        lines.append(f"  _{PROGRAM}_given {flag} ''\n  REPLY=${{REPLY:+{kind}}}")
        default = f'"${{REPLY:-{default}}}"'
    return "\n".join([*lines, f"  _{PROGRAM}_given {chooser.flag} {default}"])


def zsh_script(commands: Sequence[CompletedCommand]) -> str:
    """A script for zsh: a function a subcommand, with the flags as `_arguments` takes them.

    Args:
        commands: all of them.
    """
    listed = "\n".join(f"  {_quoted(f'{one.name}:{one.about}')}" for one in commands)
    parts = [_ZSH_HEAD, f"typeset -ga _{PROGRAM}_commands=(\n{listed}\n)\n"]
    for one in commands:
        parts += [f"_{PROGRAM}_{one.name}() {{\n  local REPLY\n  local -a specs=("]
        parts += [f"    {spec}" for o in one.options if o.with_kind is None for spec in _zsh_specs(o)]
        parts.append("  )")
        for chooser, by_kind in _by_kind(one):
            parts.append(f"{_given(chooser)}\n  case $REPLY in")
            for kind, options in by_kind:
                specs = " ".join(spec for option in options for spec in _zsh_specs(option))
                parts.append(f"    {kind}) specs+=({specs}) ;;")
            parts.append("  esac")
        parts.append("  _arguments : $specs\n}\n")
    return "\n".join(parts) + _ZSH_END


def _zsh_specs(option: Option) -> Iterator[str]:
    """One for each way to write a flag."""
    about = "".join(f"\\{c}" if c in "[]:\\" else c for c in option.about)
    if not option.flags:
        yield _quoted(f"{'*' if option.many else '1'}:{about}:{_zsh_action(option)}")
    for flag in option.flags:
        if option.takes == SWITCH:
            yield _quoted(f"{flag}[{about}]")
        elif option.many:
            yield _quoted(f"{flag}[{about}]:*-*:{_value_name(flag)}:{_zsh_action(option)}")
        else:
            sign = "=" if flag.startswith("--") else ""  # also as --flag=value
            optional = "::" if flag == "--help" else ":"
            yield _quoted(f"{flag}{sign}[{about}]{optional}{_value_name(flag)}:{_zsh_action(option)}")


def _value_name(flag: str) -> str:
    return flag.strip("-").split(".")[-1].replace("-", " ")


def _zsh_action(option: Option) -> str:
    return {WORDS: f"({' '.join(option.words)})", FILES: "_files", FOLDERS: "_files -/", TEXT: " "}[option.takes]


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"
