"""CSV with a header line."""

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
from typefleet.untrusted.csv_rows import CsvRows, Fault


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
            rows = iter(CsvRows(io.TextIOWrapper(file, encoding="utf-8-sig", errors="surrogateescape", newline="")))
            number, names = next(rows, (1, []))
            if isinstance(names, Fault):
                raise DataError(expected(f"{path}:{number}", *names))
            require_columns(f"{path}:{number}", names, self.columns)
            for number, fields in rows:
                yield self._message(names, fields, f"{path}:{number}")

    def _message(self, names: list[str], fields: list[str] | Fault, where: str) -> Message | DataError:
        if isinstance(fields, Fault):
            return DataError(expected(where, *fields))
        if any(not field.isprintable() and _has_surrogate(field) for field in fields):
            return DataError(expected(where, "UTF-8", "other bytes"))
        if len(fields) > len(names):  # as an unquoted comma makes them
            wanted = f"{len(names)} fields, as the header has (quotes around a text with commas)"
            return DataError(expected(where, wanted, len(fields)))
        return message_of(dict(zip(names, fields, strict=False)), where, self.columns)


def _has_surrogate(value: str) -> bool:
    return any("\ud800" <= c <= "\udfff" for c in value)


KIND = Kind("csv", "CSV with a header line", make=lambda settings: CsvTable())
