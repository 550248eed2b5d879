"""CSV with a header line."""

import csv
import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from client_model.text.formats.base import DataError, Message, message_of, require_columns
from client_model.text.formats.columns import USUAL, Columns
from client_model.text.formats.compressed import opened
from typefleet.doors import Kind
from typefleet.errors import expected


@dataclass(frozen=True)
class CsvTable:
    """Comma-separated values in UTF-8, with quotes where a text has commas or lines."""

    columns: Columns = USUAL
    endings: ClassVar[tuple[str, ...]] = (".csv",)

    def with_columns(self, columns: Columns) -> "CsvTable":
        """The same with other names in the header."""
        return CsvTable(columns)

    def read(self, path: Path) -> Iterator[Message | DataError]:
        """Each message, or a DataError in place of each bad row.

        Raises:
            DataError: the header lacks one of the columns, or has it twice.
        """
        with opened(path) as file:
            lines = io.TextIOWrapper(file, encoding="utf-8-sig", errors="surrogateescape", newline="")
            reader = csv.DictReader(lines)
            names = reader.fieldnames or []
            require_columns(f"{path}:1", names, self.columns)
            while True:
                try:
                    row = next(reader)
                except StopIteration:
                    return
                except csv.Error as error:
                    yield DataError(expected(f"{path}:{reader.line_num}", "a CSV row", f"a fault: {error}"))
                    continue
                where = f"{path}:{reader.line_num}"
                if any(isinstance(v, str) and not v.isprintable() and _has_surrogate(v) for v in row.values()):
                    yield DataError(expected(where, "UTF-8", "other bytes"))
                elif None in row:  # fields that the header does not name, as an unquoted comma makes them
                    wanted = f"{len(names)} fields, as the header has (quotes around a text with commas)"
                    yield DataError(expected(where, wanted, len(names) + len(row[None])))
                else:
                    yield message_of(row, where, self.columns)


def _has_surrogate(value: str) -> bool:
    return any("\ud800" <= c <= "\udfff" for c in value)


KIND = Kind("csv", "CSV with a header line", make=lambda settings: CsvTable())
