"""Read messages from files, one at a time, and say exactly where a bad one is.

A message is a `user_id` (non-empty text, or a whole number) and a `text`; other keys are ignored.
Formats: JSON lines, CSV with a header line, Parquet.
"""

import csv
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from typefleet.errors import InputError, expected, unreadable

FORMATS = {".jsonl": "jsonl", ".ndjson": "jsonl", ".csv": "csv", ".parquet": "parquet"}


class DataError(InputError):
    """Text that cannot be used; the message names the file and, where there is one, the line."""


class Message(NamedTuple):
    """One message of one phone."""

    user_id: str
    text: str


def resolve_format(path: Path, requested: str) -> str:
    """The format of a file: the requested one, or by its ending."""
    if requested != "auto":
        return requested
    if path.suffix.lower() not in FORMATS:
        hint = "name the format with --data.format"
        raise DataError(expected(path, f"an ending of {', '.join(FORMATS)}", f"{path.suffix or 'none'}; {hint}"))
    return FORMATS[path.suffix.lower()]


def read_messages(path: Path, file_format: str) -> Iterator[Message | DataError]:
    """Yield each message, or a DataError in place of each bad line.

    Raises:
        DataError: the file as a whole cannot be read.
    """
    readers = {"jsonl": _read_jsonl, "csv": _read_csv, "parquet": _read_parquet}
    try:
        yield from readers[file_format](path)
    except OSError as error:
        raise DataError(unreadable(path, error, "a file of messages")) from error


def _message(row: Any, where: str) -> Message | DataError:
    if not isinstance(row, dict):
        return DataError(expected(where, "a JSON object", f"a {type(row).__name__}"))
    user_id, text = row.get("user_id"), row.get("text")
    if isinstance(user_id, int) and not isinstance(user_id, bool):
        user_id = str(user_id)
    # Neither value is repeated in the message: ids and texts of people stay out of logs.
    if not isinstance(user_id, str) or not user_id:
        found = "none" if "user_id" not in row else "an empty or unusable value"
        return DataError(expected(where, "a user_id (text or whole number)", found))
    if not isinstance(text, str):
        found = "none" if "text" not in row else type(text).__name__
        return DataError(expected(where, "a text that is a string", found))
    return Message(user_id, text)


def _read_jsonl(path: Path) -> Iterator[Message | DataError]:
    with path.open("rb") as lines:
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
            except (json.JSONDecodeError, RecursionError) as error:
                reason = getattr(error, "msg", "nested too deeply")
                yield DataError(expected(where, "a JSON object", f"invalid JSON ({reason})"))
            else:
                yield _message(row, where)


def _read_csv(path: Path) -> Iterator[Message | DataError]:
    with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as lines:
        reader = csv.DictReader(lines)
        _require_columns(path, reader.fieldnames or [])
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
            else:
                yield _message(row, where)


def _has_surrogate(value: str) -> bool:
    return any("\ud800" <= c <= "\udfff" for c in value)


def _read_parquet(path: Path) -> Iterator[Message | DataError]:
    import pyarrow
    import pyarrow.parquet

    try:
        with pyarrow.parquet.ParquetFile(path) as table:
            _require_columns(path, table.schema_arrow.names)
            number = 0
            for batch in table.iter_batches(columns=["user_id", "text"]):
                for row in batch.to_pylist():
                    number += 1
                    yield _message(row, f"{path}:row {number}")
    except pyarrow.ArrowInvalid as error:
        raise DataError(expected(path, "a Parquet file", "one of another kind, or a damaged one")) from error


def _require_columns(path: Path, columns: Sequence[str]) -> None:
    missing = [c for c in ("user_id", "text") if c not in columns]
    if missing:  # what stands there instead may be the first message
        found = f"{len(columns)} columns and no {' and no '.join(missing)}"
        raise DataError(expected(f"{path}:1", "the columns user_id and text", found))
