"""The messages of the flags' parser in the one form of all messages.

Tyro prints a frame for a person; what stands in it is found again by its words. Values are taken from the arguments
themselves, since a frame breaks long ones.
"""

import difflib
import re
from collections.abc import Sequence

from typefleet.errors import expected

_WHAT = {"INT": "a whole number", "FLOAT": "a number", "STR": "a text", "BOOL": "True or False"}
_WHAT |= dict.fromkeys(("PATH", "RUN_DIR", "FOLDER"), "a path")
_MOST_CHARACTERS = 250  # of values in a message
_LONGEST_NAME = 80  # of a flag
_LIST = re.compile(r"\[(\w+) \[\1 \.\.\.\]\]")  # as in [FLOAT [FLOAT ...]]


def in_one_form(printed: str, argv: Sequence[str]) -> str:
    """`FLAG: expected X, found Y`.

    Args:
        printed: tyro's frame.
        argv: the arguments that it rejected.
    """
    rows = [row.strip("│ ") for row in printed.splitlines()[1:]]
    parts: list[str] = [""]
    for row in rows:
        if row and set(row) <= set("─╰╯"):
            parts.append("")
        else:
            parts[-1] += f"{row}\n"
    message = " ".join(parts[0].split())
    if found := re.match(r"Error parsing (--\S+):", message):
        return expected(found[1], _what(parts[1:2], found[1]), _values(argv, found[1]))
    if found := re.match(r"invalid choice .* for argument '(\S+)'\. Expected one of \((.*)\)", message):
        choices = ", ".join(re.findall(r"'([^']*)'", found[2]))
        return expected(found[1], f"one of {choices}", _values(argv, found[1]))
    if found := re.match(r"Missing value for argument '(\S+)'", message):
        if found[1].startswith("-"):
            return expected(found[1], "a value", "none")
        short = next((a for a in argv if re.match(r"-[A-Za-z]", a)), None)  # of which -h alone is known
        return unknown_flag(short, None) if short else expected("the command line", f"a value for {found[1]}", "none")
    if found := re.match(r"Unrecognized options: ([^\s,]+)", message):
        meant = re.search(r"Perhaps you meant: *(--[^\s,]+)", " ".join(" ".join(parts[1:]).split()))
        return _unrecognised(next((a for a in argv if a.startswith(found[1])), found[1]), meant and meant[1])
    if found := re.match(r"Missing from [^:]+: (.*?) *\(required\)", message):
        metavar, _, about = found[1].partition(" ")
        return expected("the command line", f"{in_words(metavar)} ({about.rstrip('.')})" if about else metavar, "none")
    return expected("the command line", "flags as --help lists them", message or "others")


def unknown_flag(name: str, meant: str | None) -> str:
    """That no flag has this name, and which one may have been meant."""
    shown = name if len(name) <= _LONGEST_NAME else f"{name[:_LONGEST_NAME]}..."
    return expected(shown, "a flag that --help lists", "none of that name") + (
        f"; did you mean {meant}?" if meant else ""
    )


def closest_name(name: str, known: Sequence[str]) -> str | None:
    """The known name that an unknown one comes closest to; None if none is close.

    Args:
        name: of a flag, or of a setting in a file.
        known: the names that there are.
    """
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    # A right name under a wrong or missing heading is the commonest slip.
    same_leaf = [k for k in known if k.strip("-").split(".")[-1] == name.strip("-").split(".")[-1]]
    return next(iter(same_leaf or close), None)


def _unrecognised(argument: str, meant: str | None) -> str:
    if argument.startswith("-"):
        return unknown_flag(argument.split("=")[0], meant)
    found = repr(argument) if len(argument) <= _MOST_CHARACTERS else f"one of {len(argument):,} characters"
    return expected("the command line", "flags that --help lists and their values", found)


def _what(help_texts: Sequence[str], flag: str) -> str:
    """What a flag takes, by its metavariable in the help text."""
    found = re.search(rf"^.*{re.escape(flag)} (.*)$", "".join(help_texts), re.MULTILINE)
    return in_words(found[1] if found else "a value")


def in_words(metavar: str) -> str:
    """What a flag takes: `{None}|INT` is "a whole number", `{a,b}` is "one of a, b"."""
    if "{None}|" in metavar or metavar.endswith("|{None}"):
        return in_words(metavar.replace("{None}|", "").removesuffix("|{None}"))
    if several := _LIST.fullmatch(metavar):
        return f"{in_words(several[1]).removeprefix('a ')}s"
    if either := re.fullmatch(r"\{([\w,]+)\}\|(\w+)", metavar):  # words, or a kind of value
        return f"{', '.join(either[1].split(','))} or {in_words(either[2])}"
    if choices := re.fullmatch(r"\{([^{}|]*)\}", metavar):
        return f"one of {', '.join(choices[1].split(','))}"
    return _WHAT.get(metavar, metavar)


def _values(argv: Sequence[str], flag: str) -> str:
    """The values that the arguments last gave a flag."""
    values: list[str] = []
    for number, argument in enumerate(argv):
        name, equals, value = argument.partition("=")
        if name == flag:
            following = list(argv[number + 1 :])
            end = next((i for i, a in enumerate(following) if a.startswith("--")), len(following))
            values = [value] if equals else following[:end]
    said = " ".join(map(repr, values)) or "none"
    return said if len(said) <= _MOST_CHARACTERS else f"one of {sum(map(len, values)):,} characters"
