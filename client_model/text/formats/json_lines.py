"""JSON lines: one object per line."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from client_model.text.formats.base import DataError, Message, message_of
from client_model.text.formats.columns import USUAL, Columns
from client_model.text.formats.compressed import opened
from typefleet.doors import Kind
from typefleet.errors import expected
from typefleet.untrusted.json_values import json_value
from typefleet.untrusted.limits import LINE_BYTES, MIB


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
        with opened(path) as file:
            for number, raw in enumerate(iter(lambda: file.readline(LINE_BYTES + 1), b""), start=1):
                where = f"{path}:{number}"
                if number == 1:
                    raw = raw.removeprefix(b"\xef\xbb\xbf")
                if len(raw) > LINE_BYTES:
                    while raw and not raw.endswith(b"\n"):
                        raw = file.readline(LINE_BYTES)
                    yield DataError(expected(where, f"a line of at most {LINE_BYTES // MIB} MiB", "a longer one"))
                elif raw.strip():
                    try:
                        row = json_value(raw, where, "a JSON object", DataError)
                    except DataError as error:
                        yield error
                    else:
                        yield message_of(row, where, self.columns)


KIND = Kind("jsonl", "JSON lines", make=lambda settings: JsonLines())
