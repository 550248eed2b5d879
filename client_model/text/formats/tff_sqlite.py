"""Client data of TensorFlow Federated in SQLite: a row per example, as its StackOverflow data has them."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

from client_model.quiet import import_tensorflow_quietly
from client_model.text.formats.base import (
    DataError,
    Message,
    message_of,
    require_beginning,
    unpacked_within_reason,
)
from client_model.text.formats.share_read import tell
from typefleet.doors import Kind
from typefleet.errors import expected
from typefleet.untrusted.limits import LINE_BYTES

_BEGINS = b"SQLite format 3\x00"
_WANTED = "an SQLite file with a table examples (client_id, serialized_example_proto)"
_FEATURE = "tokens"  # the others, such as score and tags, are not read


class TffSqlite:
    """Serialised `tf.train.Example`s with the feature `tokens`, a text; those of all splits are read."""

    endings = (".sqlite",)

    def read(self, path: Path) -> Iterator[Message | DataError]:
        """Each example's text as a message, in the order of the rows, or a DataError in place of a bad one.

        The file is opened for reading only.

        Raises:
            DataError: the file is no SQLite, is damaged, or has another table.
        """
        require_beginning(path, _BEGINS, _WANTED)
        try:
            with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as connection:
                connection.text_factory = lambda raw: raw.decode("utf-8", "surrogateescape")
                connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, LINE_BYTES)  # a column may be computed
                connection.execute("PRAGMA trusted_schema = OFF")
                yield from unpacked_within_reason(_messages(connection, path), path)
        except sqlite3.Error as error:
            raise DataError(expected(path, _WANTED, "one of another kind, or a damaged one")) from error


def _messages(connection: sqlite3.Connection, path: Path) -> Iterator[Message | DataError]:
    # A view, or a table that a module computes, may have rows without end.
    stored = "SELECT count(*) FROM sqlite_master WHERE name = 'examples' AND type = 'table' AND rootpage > 0"
    if not connection.execute(stored).fetchone()[0]:
        raise DataError(expected(path, _WANTED, "no such table"))
    import_tensorflow_quietly()  # takes seconds, the first time
    last = connection.execute("SELECT max(rowid) FROM examples").fetchone()[0] or 1
    number = 0
    tell(lambda: number / last)
    rows = connection.execute("SELECT rowid, client_id, serialized_example_proto FROM examples ORDER BY rowid")
    for number, client, example in rows:
        where = f"{path}: row {number} of examples"
        text = _text(example)
        yield (
            message_of({"user_id": client, "text": text}, where)
            if isinstance(text, str)
            else DataError(expected(where, *text))
        )


def _text(serialised: Any) -> str | tuple[str, str]:
    """The text of an example, or what was expected and what was found."""
    from google.protobuf.message import DecodeError
    from tensorflow.core.example.example_pb2 import Example

    if not isinstance(serialised, bytes):
        return "a serialised tf.train.Example", "none"
    try:
        features = Example.FromString(serialised).features.feature
        values: list[bytes] = list(features[_FEATURE].bytes_list.value) if _FEATURE in features else []
        return values[0].decode("utf-8") if len(values) == 1 else (f"one value of {_FEATURE}", str(len(values)))
    except DecodeError:
        return "a serialised tf.train.Example", "other bytes"
    except UnicodeDecodeError:
        return "UTF-8", "other bytes"


KIND = Kind("tff-sqlite", "SQLite of TensorFlow Federated's StackOverflow", make=lambda settings: TffSqlite())
