"""JSON lines: one object per line."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from client_model.text.formats.base import DataError, Message, message_of
from client_model.text.formats.columns import USUAL, Columns
from client_model.text.formats.compressed import opened
from typefleet.doors import Kind
from typefleet.errors import expected


@dataclass(frozen=True)
class JsonLines:
    """One JSON object per line, in UTF-8; empty lines are skipped."""

    columns: Columns = USUAL
    endings: ClassVar[tuple[str, ...]] = (".jsonl", ".ndjson")

    def with_columns(self, columns: Columns) -> "JsonLines":
        """The same with other keys."""
        return JsonLines(columns)

    def read(self, path: Path) -> Iterator[Message | DataError]:
        """Each message, or a DataError in place of each bad line."""
        with opened(path) as lines:
            for number, raw in enumerate(lines, start=1):
                where = f"{path}:{number}"
                if number == 1:
                    raw = raw.removeprefix(b"\xef\xbb\xbf")
                if not raw.strip():
                    continue
                try:
                    row = json.loads(raw.decode("utf-8"))
                except UnicodeDecodeError as error:
                    yield DataError(expected(where, "UTF-8", f"byte 0x{raw[error.start]:02x}"))
                except json.JSONDecodeError as error:
                    yield DataError(expected(where, "a JSON object", f"invalid JSON ({error.msg})"))
                except RecursionError:
                    yield DataError(expected(where, "a JSON object", "invalid JSON (nested too deeply)"))
                except ValueError:  # what Python says of a number that it does not read
                    yield DataError(expected(where, "a JSON object", "a number with thousands of digits"))
                else:
                    yield message_of(row, where, self.columns)


KIND = Kind("jsonl", "JSON lines", make=lambda settings: JsonLines())
