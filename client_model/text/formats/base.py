"""What a format of message files is, and what all of them share.

A message is a user id (non-empty text, or a whole number), a text and, where a column of times is named, a time. A bad
one is said with its exact place and the column's name; no value is ever repeated, so that ids and texts of people stay
out of logs.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol, runtime_checkable

from client_model.text.formats.columns import USUAL, Columns, moment
from typefleet.errors import InputError, expected, unreadable
from typefleet.untrusted.arrow_columns import most_unpacked, unpacks_too_far
from typefleet.untrusted.limits import COLUMNS, NUMBER_DIGITS, TEXT_CHARACTERS
from typefleet.untrusted.opening import require_file

_LARGEST_ID = 10**NUMBER_DIGITS
_ROW_BYTES = 16  # that a message counts beside its text


class DataError(InputError):
    """Text that cannot be used; the message names the file and, where there is one, the line."""


class Message(NamedTuple):
    """One message of one phone."""

    user_id: str
    text: str
    time: float | None = None  # see `columns.moment`; None: the order of the file counts
    is_dated: bool = False  # the time is that of a date, not a number of the file's own unit


class MessageFormat(Protocol):
    """Reads files of messages."""

    @property
    def endings(self) -> tuple[str, ...]:
        """How the names of such files end, in lower case, such as `.tsv`; they decide where no format is named."""

    def read(self, path: Path) -> Iterator[Message | DataError]:
        """Each message in order, or a DataError in place of each bad line.

        Raises:
            DataError: the file as a whole is none of this format.
            OSError: the operating system refused it.
        """


@runtime_checkable
class BundledFormat(MessageFormat, Protocol):
    """A format whose file an installed package brings."""

    def bundled(self) -> Path:
        """That file, which is read where no other is named.

        Raises:
            DataError: the package is not installed.
        """


@runtime_checkable
class TableFormat(MessageFormat, Protocol):
    """A format whose columns have names."""

    def with_columns(self, columns: Columns) -> MessageFormat:
        """The same format, reading these columns."""


def read_messages(path: Path, message_format: MessageFormat) -> Iterator[Message | DataError]:
    """Each message of a file, or a DataError in place of each bad line.

    Raises:
        DataError: the file as a whole cannot be read.
    """
    try:
        yield from message_format.read(path)
    except OSError as error:
        raise DataError(unreadable(path, error, "a file of messages")) from error


def require_beginning(path: Path, begins: bytes, wanted: str) -> None:
    """Refuse a file that does not begin as all of its kind do, before a library opens it.

    Args:
        path: the file.
        begins: its first bytes.
        wanted: what was expected, for the error.

    Raises:
        DataError: it begins otherwise.
        OSError: the operating system refused it.
    """
    require_file(path, "a file of messages", DataError)
    with path.open("rb") as file:
        if file.read(len(begins)) != begins:
            raise DataError(expected(path, wanted, "one of another kind"))


def unpacked_within_reason(
    messages: Iterator[Message | DataError], path: Path, size: int | None = None
) -> Iterator[Message | DataError]:
    """The same messages, unless a small file makes very many of them, as one that was made to take all memory does.

    Args:
        messages: of the file.
        path: of it.
        size: in bytes; None: the file's.

    Raises:
        DataError: there is far more text than the file has bytes.
    """
    most = most_unpacked(path.stat().st_size if size is None else size)
    unpacked = 0
    for message in messages:
        unpacked += _ROW_BYTES + (len(message.text) if isinstance(message, Message) else 0)
        if unpacked > most:
            raise DataError(unpacks_too_far(path))
        yield message


def message_of(row: Any, where: str, columns: Columns = USUAL) -> Message | DataError:
    """A message from a row, or what is wrong with it.

    Args:
        row: what stands in the file; a message is a dictionary, whose other keys are ignored.
        where: file and line.
        columns: the keys that count.
    """
    if not isinstance(row, dict):
        return DataError(expected(where, "a JSON object", _kind(row)))
    user_id, text = row.get(columns.user), row.get(columns.text)
    if isinstance(user_id, int) and not isinstance(user_id, bool) and abs(user_id) < _LARGEST_ID:
        user_id = str(user_id)
    if not isinstance(user_id, str) or not user_id:
        found = "none" if columns.user not in row else "an empty or unusable value"
        return DataError(expected(where, f"a {columns.user} (text or whole number)", found))
    if not isinstance(text, str):
        return DataError(expected(where, f"a {columns.text} that is a string", _kind(text)))
    if len(text) > TEXT_CHARACTERS:
        wanted = f"a {columns.text} of at most {TEXT_CHARACTERS:,} characters"
        return DataError(expected(where, wanted, f"{len(text):,}"))
    if columns.time is None:
        return Message(user_id, text)
    time = moment(row.get(columns.time))
    if time is None:
        return DataError(expected(where, f"a {columns.time} (number or ISO 8601 text)", _not_a_time(row, columns.time)))
    return Message(user_id, text, time.at, time.is_date)


def _not_a_time(row: dict[str, Any], column: str) -> str:
    value = row.get(column)
    return "none" if value in (None, "") else "another text" if isinstance(value, str) else "an unusable value"


def _kind(value: Any) -> str:
    """What stands in the place of something else, without its content."""
    if isinstance(value, bool):
        return "true or false"
    kinds = {type(None): "none", str: "a text", int: "a number", float: "a number", list: "a list", dict: "an object"}
    return kinds.get(type(value), "bytes" if isinstance(value, bytes) else "a value of another kind")


def require_columns(where: str, names: Sequence[str], columns: Columns = USUAL) -> None:
    """Refuse a table without the columns of a message, or with two of a name.

    Args:
        where: file, and line where it has any.
        names: of all its columns.
        columns: those that are needed.

    Raises:
        DataError: it says how many columns there are, since what stands there may be the first message.
    """
    if len(names) > COLUMNS:
        raise DataError(expected(where, f"at most {COLUMNS:,} columns", f"{len(names):,}"))
    missing = [c for c in columns.names if c not in names]
    if missing:
        found = f"{len(names)} columns and no {' and no '.join(missing)}"
        flags = "--data.user-column, --data.text-column and --data.time-column name others"
        raise DataError(f"{expected(where, f'the columns {columns}', found)}; {flags}")
    twice = [c for c in columns.names if list(names).count(c) > 1]
    if twice:
        raise DataError(expected(where, f"the columns {columns} once each", f"{twice[0]} more than once"))
