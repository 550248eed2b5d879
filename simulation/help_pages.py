"""Help in pages: what is set most often, one group of settings, or everything.

Names, texts and defaults are tyro's, which makes them of the dataclasses. It is asked for its page at one width, on
which each row can be told apart, and what stands on it is laid out anew: line breaks of docstrings are gone, and types
are words.
"""

import difflib
import io
import os
import re
import shutil
import sys
import textwrap
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from typing import NamedTuple

from simulation.parser_messages import in_words
from typefleet.errors import ConfigError, expected

_TYRO_COLUMNS = 129  # as wide as it is without putting boxes beside each other
_MOST_COLUMNS = 110  # longer lines are hard to read
_BESIDE = 24  # a text stands beside flags of up to this many characters, else below
_ROOT = "options"  # tyro's name for what is in no group
ALL = "--help-all"


class Entry(NamedTuple):
    """A flag, or an argument without one."""

    flags: str  # "--print-config, --no-print-config"
    text: str  # with its type and default

    @property
    def names(self) -> list[str]:
        """Each way to write it."""
        return self.flags.split(", ")


class Group(NamedTuple):
    """Flags under one heading."""

    name: str
    about: str
    entries: list[Entry]


class Page(NamedTuple):
    """All that there is."""

    usage: str
    about: str
    groups: list[Group]


def page_wanted(argv: Sequence[str]) -> str | None:
    """Which page a command line asks for: a group's name, `--help-all`, or "" for the first one; None: no help."""
    for number, argument in enumerate(argv):
        if argument == ALL:
            return ALL
        if argument in ("-h", "--help"):
            following = argv[number + 1 : number + 2]
            return following[0] if following and not following[0].startswith("-") else ""
        if argument.startswith("--help="):
            return argument.partition("=")[2]
    return None


def as_tyro_asks(argv: Sequence[str], wanted: str | None) -> list[str]:
    """The same command line with the one flag that tyro knows, if help is asked for.

    It comes first, since tyro leaves out of its page what a word before it has been taken for: `report RUN --help`
    would not say that there is a RUN.
    """
    if wanted is None:
        return list(argv)
    others = [a for a in argv if a not in (ALL, "-h", "--help") and not a.startswith("--help=")]
    return ["--help", *(a for a in others if a.startswith("--") or a != wanted)]


@contextmanager
def captured(wanted: str | None) -> Iterator[io.TextIOWrapper]:
    """Standard output kept aside, and while help is made a terminal of the one width."""
    kept = io.TextIOWrapper(io.BytesIO(), encoding="utf-8", newline="")
    before = os.environ.get("COLUMNS")
    if wanted is not None:
        os.environ["COLUMNS"] = str(_TYRO_COLUMNS)
    try:
        with redirect_stdout(kept):
            yield kept
    finally:
        if before is not None:
            os.environ["COLUMNS"] = before
        elif wanted is not None:
            del os.environ["COLUMNS"]


def print_help(printed: str, wanted: str | None, often: Sequence[str], hidden: Collection[str] = ()) -> None:
    """Print a page.

    Args:
        printed: tyro's.
        wanted: as `page_wanted` says; None: no help, but a script for a shell, which is printed as it is.
        often: flags that the first page shows; with none it shows all.
        hidden: flags that no page shows, since the command refuses them.

    Raises:
        ConfigError: there is no group of that name.
    """
    if wanted is None:
        print(printed, end="")
        return
    page = _without(read_page(printed), hidden)
    columns = min(shutil.get_terminal_size().columns, _MOST_COLUMNS)
    bold = sys.stdout.isatty() and os.environ.get("TERM") not in (None, "dumb") and "NO_COLOR" not in os.environ
    print("\n".join(lines_of(page, wanted, often, columns, bold)).rstrip())


def read_page(printed: str) -> Page:
    """What tyro's page says."""
    head, *boxes = re.split(r"^╭─+ (?=.*╮$)", printed, flags=re.MULTILINE)
    usage, _, about = head.strip().partition("\n\n")
    groups = [_read_group(box) for box in boxes]
    return Page(" ".join(usage.replace("{None}|", "").split()), about, groups)


def _without(page: Page, hidden: Collection[str]) -> Page:
    """A page without some flags, and without the groups of which nothing is left."""
    groups = [g._replace(entries=[e for e in g.entries if e.names[0] not in hidden]) for g in page.groups]
    return page._replace(groups=[group for group in groups if group.entries])


def _read_group(box: str) -> Group:
    title, *rows = box.splitlines()
    name = title.partition(" ─")[0]
    entries: list[tuple[str, list[str]]] = []
    about: list[str] = []
    is_argument = name == "positional arguments"
    for row in (row[2:-2].rstrip() for row in rows if row.startswith("│")):
        if set(row) == {"─"}:
            about, entries = [called for called, _ in entries], []
        elif row.startswith(" "):
            entries[-1][1].append(row.strip())
        elif entries and entries[-1][0].startswith("-") and not row.startswith("-"):  # a long list of choices
            entries[-1] = (f"{entries[-1][0]} {row}", [])
        else:
            called, _, text = row.partition("  ")
            entries.append((called, [text.strip()]))
    read = [_entry(called, " ".join(" ".join(texts).split()), is_argument) for called, texts in entries]
    return Group(name.removesuffix(f" {_ROOT}"), " ".join(about), read)


def _entry(called: str, text: str, is_argument: bool) -> Entry:
    """`--rounds INT`, `... (default: 100)` -> `--rounds`, `... (a whole number; default: 100)`."""
    flags, what = called.replace("{None}|", ""), "" if is_argument else _type_of(called)
    if not is_argument:
        flags = ", ".join(dict.fromkeys(re.findall(r"(?<!\S)--?[a-z][\w.-]*", called)))
    text, _, default = text.rpartition(" (") if text.endswith(")") else (text, "", "")
    if default == "default: )":  # of an argument that takes several
        default = ""
    elif default.startswith("default: "):
        value = default.removeprefix("default: ").removesuffix(")")
        default = f"default: {_value(value, what)}"
    else:
        default = default.removesuffix(")")
    said = "; ".join(filter(None, (what, default)))
    return Entry(flags, f"{text} ({said})" if said else text)


def _type_of(called: str) -> str:
    """In words; nothing for a switch."""
    *_, last = re.split(r"(?:^|, )--?[a-z][\w.-]*", called)
    metavar = re.sub(r",\s+", ",", last.strip())
    return in_words(metavar) if metavar else ""


def _value(value: str, what: str) -> str:
    if not what:
        return {"True": "on", "False": "off", "None": "none"}.get(value, value)
    return {"None": "none", "": "none"}.get(value, value)


def lines_of(page: Page, wanted: str, often: Sequence[str], columns: int, bold: bool = False) -> Iterator[str]:
    """The lines of a page, none wider than `columns` unless a name is."""
    shown = [group for group in page.groups if group.name not in ("positional arguments", _ROOT)]
    everything = wanted == ALL or not often
    if wanted and not everything:
        shown = [_group_named(wanted, page.groups)]
    yield from textwrap.wrap(f"usage: {page.usage.removeprefix('usage: ')}", columns, subsequent_indent=" " * 8)
    yield ""
    if everything or not wanted:
        for paragraph in page.about.split("\n\n"):
            yield from textwrap.wrap(" ".join(paragraph.split()), columns)
            yield ""
    if everything:
        yield from _groups(page.groups, columns, bold)
    elif wanted:
        yield from _groups(shown, columns, bold)
    else:
        known = {name: entry for group in page.groups for entry in group.entries for name in entry.names}
        first = [Entry(name, known[name].text) for name in often if name in known]
        yield from _groups([Group("set most often", "", first)], columns, bold)
        yield from _groups([Group("groups of settings", "", [Entry(g.name, g.about) for g in shown])], columns, bold)
        number = sum(len(group.entries) for group in page.groups)
        last = (
            f"--help GROUP, such as --help {shown[0].name}, shows the settings of one group; {ALL} shows all {number}."
        )
        yield from textwrap.wrap(last, columns)


def _group_named(name: str, groups: Sequence[Group]) -> Group:
    found = {group.name: group for group in groups}
    if name in found:
        return found[name]
    close = difflib.get_close_matches(name, found, n=1, cutoff=0.5)
    listed = ", ".join(group.name for group in groups if group.name != "positional arguments")
    hint = f"; did you mean --help {close[0]}?" if close else ""
    raise ConfigError(expected("--help", f"one of {listed}", "none of that name") + hint)


def _groups(groups: Sequence[Group], columns: int, bold: bool) -> Iterator[str]:
    for group in groups:
        title = f"{group.name}: {group.about}" if group.about else f"{group.name}:"
        for line in textwrap.wrap(title, columns, break_long_words=False):
            yield f"\033[1m{line}\033[0m" if bold else line
        longest = max((len(entry.flags) for entry in group.entries), default=0)
        for entry in group.entries:
            yield from _entry_lines(entry, longest, columns)
        yield ""


def _entry_lines(entry: Entry, longest: int, columns: int) -> Iterator[str]:
    """A name with its text beside it, or below it where names are long or the terminal is narrow."""
    beside = longest <= _BESIDE and columns >= 3 * longest
    indent = " " * (longest + 4 if beside else 6)
    lines = textwrap.wrap(
        entry.text, max(columns - len(indent), 20), break_long_words=False, break_on_hyphens=False
    ) or [""]
    if not beside:
        yield f"  {entry.flags}"
    for number, line in enumerate(lines):
        yield (f"  {entry.flags:{longest}}  {line}" if beside and number == 0 else f"{indent}{line}").rstrip()
