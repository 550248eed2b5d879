"""Comma-separated values that somebody else wrote: rows, and a word in the place of each that is none.

A quote that is opened and never closed would swallow all rows after it. Such a row is a fault of its first line alone,
and reading goes on behind that line. It costs no more than reading twice: lines that lie in a quote have quotes in
pairs only, so none of them leaves another one open.
"""

import csv
from collections import deque
from collections.abc import Iterator
from typing import NamedTuple, TextIO

from typefleet.untrusted.limits import LINE_BYTES, MIB, ROW_LINES


class Fault(NamedTuple):
    """What is wrong with a row."""

    expectation: str
    found: str


_OPEN = Fault(f"a quote that is closed within {ROW_LINES:,} lines", "one that is not")
_LONG = Fault(f"a row of at most {LINE_BYTES // MIB} MiB", "a longer one")


class CsvRows:
    """The rows of a text, each with the number of its first line, from 1 on; rows without any field are left out."""

    def __init__(self, text: TextIO) -> None:
        """Nothing is read yet.

        Args:
            text: opened with `newline=""`.
        """
        self._lines = _Lines(text)

    def __iter__(self) -> Iterator[tuple[int, list[str] | Fault]]:
        lines = self._lines
        reader = csv.reader(lines, strict=True)
        while True:
            lines.begin_row()
            try:
                fields = next(reader)
            except StopIteration:
                return
            except _TooMuchError as error:
                fault = error.fault
            except csv.Error as error:
                fault = _OPEN if "end of data" in str(error) else Fault("a CSV row", f"a fault: {error}")
            else:
                if fields:
                    yield lines.row, fields
                continue
            yield lines.row, fault
            lines.go_on_behind_first()
            reader = csv.reader(lines, strict=True)


class _TooMuchError(Exception):
    """A row goes beyond a limit."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(fault)
        self.fault = fault


class _Lines:
    """Lines of a text, those of the current row at hand to be read again."""

    def __init__(self, text: TextIO) -> None:
        self._text = text
        self._again: deque[str] = deque()
        self._taken: list[str] = []
        self._size = 0
        self.row = 1  # number of the first line of the current row

    def __iter__(self) -> "_Lines":
        return self

    def __next__(self) -> str:
        line = self._again.popleft() if self._again else self._text.readline(LINE_BYTES + 1)
        if not line:
            raise StopIteration
        self._taken.append(line)
        self._size += len(line)
        if len(line) > LINE_BYTES:
            while line and line[-1] not in "\r\n":
                line = self._text.readline(LINE_BYTES)
            raise _TooMuchError(_LONG)
        if len(self._taken) > ROW_LINES or self._size > LINE_BYTES:
            raise _TooMuchError(_OPEN if len(self._taken) > ROW_LINES else _LONG)
        return line

    def begin_row(self) -> None:
        """The lines up to now are done."""
        self.row += len(self._taken)
        self._taken, self._size = [], 0

    def go_on_behind_first(self) -> None:
        """All lines of the row but its first come again."""
        self._again.extendleft(reversed(self._taken[1:]))
        del self._taken[1:]
