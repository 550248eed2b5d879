"""Tables on a terminal of any width: a figure that is cut off is worse than a table of another shape."""

import itertools
import os
import re
import textwrap
from collections.abc import Collection, Iterator, Sequence
from typing import Any, TextIO

from rich import box
from rich.console import Console
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from typefleet.errors import printable

_IN_A_PIPE = 160  # columns, where nobody says how many there are
_ANY_WIDTH = 10_000
_NARROWEST = 16  # columns that sentences are broken into
_NO_BREAK = "\N{NO-BREAK SPACE}"


def console_for(stream: TextIO) -> Console:
    """As wide as the terminal; in a pipe as wide as COLUMNS says, and else wide enough for every table."""
    return _PlainConsole(
        file=stream, width=None if stream.isatty() else _in_a_pipe(), highlight=False, markup=False, emoji=False
    )


def _in_a_pipe() -> int:
    said = os.environ.get("COLUMNS", "")
    return int(said) if re.fullmatch("[1-9][0-9]{1,3}", said) else _IN_A_PIPE


class _PlainConsole(Console):
    """Shows a text as it is: what runs and their files say of themselves is neither markup nor an order."""

    def render_str(self, text: str, **options: Any) -> Text:  # of what is printed, and of a table's cells
        return super().render_str(printable(text, "\n"), **options)


def print_table(
    console: Console,
    headings: Sequence[str],
    rows: Sequence[Sequence[str]],
    left: Collection[int] = (0,),
    wrapped: int | None = None,
) -> None:
    """One line per row; where that is too wide even without wide gaps, one column per row, in as many tables as needed.

    Args:
        console: where to.
        headings: of the columns; a line break inside one is kept while the table has its usual shape.
        rows: a cell for each heading.
        left: numbers of the columns that are aligned to the left; figures are to the right.
        wrapped: number of a column of sentences, which are broken over lines if that is enough to keep the shape.
    """
    for tight in (False, True):
        table = _table(headings, rows, left, tight=tight)
        if _width(console, table) <= console.width or not rows:
            console.print(table)
            return
    if wrapped is not None and (broken := _broken(console, headings, rows, wrapped)) is not None:
        console.print(_table(headings, broken, left))
        return
    for some in _turned(console, [" ".join(heading.split()) for heading in headings], rows):
        console.print(some)


def print_groupings(console: Console, headings: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """A table for each way in which the same things are put into groups, the columns below each other.

    Args:
        console: where to.
        headings: of the columns after the group's.
        rows: the grouping, which stands in the place of the first heading; the group; a cell for each heading. The rows
            of a grouping follow each other.
    """
    widths = [max((len(row[i]) for row in rows), default=0) for i in range(1, 2 + len(headings))]
    for grouping, own in itertools.groupby(rows, key=lambda row: row[0]):
        lines = [[row[1].ljust(widths[0]), *map(str.rjust, row[2:], widths[1:])] for row in own]
        print_table(console, (grouping.replace(" ", "\n"), *headings), lines)


def _broken(
    console: Console, headings: Sequence[str], rows: Sequence[Sequence[str]], column: int
) -> list[list[str]] | None:
    """Rows with the cells of a column broken over lines so that a table fits; None: too little room is left for it."""

    def others(row: Sequence[str]) -> list[str]:
        return [*row[:column], "", *row[column + 1 :]]

    room = console.width - _width(console, _table(others(headings), [others(row) for row in rows]))
    if room < max(_NARROWEST, len(headings[column])):
        return None
    return [[*row[:column], textwrap.fill(row[column], room), *row[column + 1 :]] for row in rows]


def _turned(console: Console, headings: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[Table]:
    """Tables with a column for each row, each as wide as fits; one row is printed however wide it is."""
    begin = 0
    while begin < len(rows):
        end = begin + 1
        table = _table(*_transposed(headings, rows[begin:end]))
        while end < len(rows):
            wider = _table(*_transposed(headings, rows[begin : end + 1]))
            if _width(console, wider) > console.width:
                break
            table, end = wider, end + 1
        yield table
        begin = end


def _transposed(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> tuple[list[str], list[list[str]]]:
    first, *others = ([heading, *(row[i] for row in rows)] for i, heading in enumerate(headings))
    return first, others


def _table(
    headings: Sequence[str], rows: Sequence[Sequence[str]], left: Collection[int] = (0,), *, tight: bool = False
) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, collapse_padding=tight)
    for number, heading in enumerate(headings):
        table.add_column(heading, justify="left" if number in left else "right", overflow="fold")
    for row in rows:
        table.add_row(*row)
    return table


def _width(console: Console, table: Table) -> int:
    return Measurement.get(console, console.options.update(width=_ANY_WIDTH), table).maximum


def print_named(console: Console, text: str) -> None:
    """Lines of a name and its value, each broken where the console ends and continued below its value.

    Args:
        console: where to.
        text: lines; at least two blanks stand between a name and a value, and a line that continues a value begins
            with as many blanks as are before it.
    """
    for line in text.splitlines():
        name = re.match(r"(\S+( \S+)*)? {2,}", line)
        below = " " * (name.end() if name else 0)
        pieces = textwrap.wrap(
            line, console.width, subsequent_indent=below, break_long_words=False, break_on_hyphens=False
        )
        for piece in pieces:
            console.print(Text(printable(piece)), soft_wrap=True)


class Whole(str):
    """A path, a command or a hash: it is copied, so no line break is put into it."""


def print_facts(console: Console, rows: Sequence[tuple[str, Sequence[str]]]) -> None:
    """Names with their values beside them, without blanks at the ends of lines.

    Args:
        console: where to.
        rows: a name and the paragraphs of its value; one that is `Whole` and too long begins on a line of its own and
            is left to the terminal to break.
    """
    indent = max(len(name) for name, _ in rows) + 4
    room = max(console.width - indent, 20)
    console.print()
    for name, value in rows:
        lines: list[str] = []
        for paragraph in value:
            if not isinstance(paragraph, Whole):
                together = re.sub(r"(?<=\d) %", f"{_NO_BREAK}%", paragraph)
                wrapped = textwrap.wrap(together, room, break_long_words=False, break_on_hyphens=False)
                lines += [line.replace(_NO_BREAK, " ") for line in wrapped]
            elif len(paragraph) <= room:
                lines.append(paragraph)
            else:
                lines += ["", paragraph] if not lines else [paragraph]
        for number, line in enumerate(lines):
            at = 2 if len(line) > room else indent
            start = f" {name}" if number == 0 else ""
            shown = Text(printable(f"{start:{at}}{line}".rstrip() if start else f"{'':{at}}{line}"))
            shown.stylize("bold", 0, len(start))
            console.print(shown, soft_wrap=True)
    console.print()
