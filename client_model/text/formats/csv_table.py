"""CSV with a header line."""

import csv
import io
from collections.abc import Iterator
from pathlib import Path

from client_model.text.formats.base import DataError, Message, message_of, require_columns
from client_model.text.formats.compressed import opened
from typefleet.doors import Kind
from typefleet.errors import expected


class CsvTable:
    """Comma-separated values in UTF-8, with quotes where a text has commas or lines."""

    endings = (".csv",)

    def read(self, path: Path) -> Iterator[Message | DataError]:
        """Each message, or a DataError in place of each bad row.

        Raises:
            DataError: the header has no user_id or no text, or has one of them twice.
        """
        with opened(path) as file:
            lines = io.TextIOWrapper(file, encoding="utf-8-sig", errors="surrogateescape", newline="")
            reader = csv.DictReader(lines)
            columns = reader.fieldnames or []
            require_columns(path, columns)
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
                    wanted = f"{len(columns)} fields, as the header has (quotes around a text with commas)"
                    yield DataError(expected(where, wanted, len(columns) + len(row[None])))
                else:
                    yield message_of(row, where)


def _has_surrogate(value: str) -> bool:
    return any("\ud800" <= c <= "\udfff" for c in value)


KIND = Kind("csv", "CSV with a header line", make=lambda settings: CsvTable())
