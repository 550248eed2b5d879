"""Messages in the batches of rows that Arrow reads, from Parquet files and others."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from client_model.text.formats.base import DataError, Message, message_of
from client_model.text.formats.columns import Columns, Moment
from typefleet.errors import expected

if TYPE_CHECKING:
    import pyarrow

_PER_S = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}
_DAY_S = 86_400


class _Other:
    """Stands for a value that no message has: of another type, or a text that is not UTF-8."""


_OTHER, _NOT_UTF8 = _Other(), _Other()


@contextmanager
def arrow_refusals(path: Path, what: str) -> Iterator[None]:
    """What Arrow says of a damaged file becomes one line.

    Args:
        path: the file.
        what: it should be, such as `a Parquet file`.

    Raises:
        DataError: in the place of Arrow's own errors.
        OSError: the operating system refused it.
    """
    import pyarrow  # takes longer to import than all formats together

    try:
        yield
    except (pyarrow.ArrowException, UnicodeDecodeError, KeyError, OverflowError, OSError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise  # the operating system's; Arrow's own are of damaged files
        raise DataError(expected(path, what, "one of another kind, or a damaged one")) from error


def messages_in_batch(
    batch: "pyarrow.RecordBatch", columns: Columns, path: Path, rows_before: int
) -> Iterator[Message | DataError]:
    """Each message of a batch, or a DataError in place of each bad row."""
    names = columns.names
    read = [_values(batch.column(batch.schema.names.index(name))) for name in names]
    damaged = any(_NOT_UTF8 in values for values in read)
    for number, values in enumerate(zip(*read, strict=True), start=rows_before + 1):
        where = f"{path}:row {number}"
        if damaged and _NOT_UTF8 in values:
            yield DataError(expected(where, "UTF-8", "other bytes"))
        else:
            yield message_of(dict(zip(names, values, strict=True)), where, columns)


def _values(column: "pyarrow.Array") -> list[Any]:
    """A column's values, times as moments; what no message has is `_OTHER`, whatever its type."""
    import pyarrow

    kind, types = column.type, pyarrow.types
    if types.is_dictionary(kind):
        return _of_dictionary(column)
    if types.is_string(kind) or types.is_large_string(kind):
        return _texts(column)
    if types.is_timestamp(kind) or types.is_date(kind):
        column.validate(full=True)
        if types.is_date32(kind):
            numbers, per_s = column.cast(pyarrow.int32()), 1 / _DAY_S
        else:
            numbers, per_s = column.cast(pyarrow.int64()), _PER_S[kind.unit] if types.is_timestamp(kind) else 1000
        return [None if number is None else Moment(number / per_s, is_date=True) for number in numbers.to_pylist()]
    if types.is_integer(kind) or types.is_floating(kind) or types.is_boolean(kind) or types.is_null(kind):
        column.validate(full=True)
        values: list[Any] = column.to_pylist()
        return values
    other = b"" if types.is_binary(kind) or types.is_large_binary(kind) else _OTHER
    return [other if there else None for there in column.is_valid().to_pylist()]


def _texts(column: "pyarrow.Array") -> list[Any]:
    import pyarrow

    is_large = pyarrow.types.is_large_string(column.type)
    raw = column.view(pyarrow.large_binary() if is_large else pyarrow.binary())
    raw.validate(full=True)  # of a damaged file it may point anywhere
    try:
        texts: list[Any] = column.to_pylist()
    except UnicodeDecodeError:
        texts = [None if one is None else _decoded(one) for one in raw.to_pylist()]
    return texts


def _decoded(raw: bytes) -> Any:
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        return _NOT_UTF8


def _of_dictionary(column: "pyarrow.DictionaryArray") -> list[Any]:
    """Each distinct value is made once: there may be few, and very many rows."""
    import numpy as np
    import pyarrow

    indices = column.indices
    indices.validate(full=True)
    places = [place for place in indices.to_pylist() if place is not None]
    used = np.unique(np.array(places, np.int64))
    if len(used) and not 0 <= used[0] <= used[-1] < len(column.dictionary):
        raise pyarrow.ArrowInvalid("places outside the dictionary")
    values = dict(zip(used.tolist(), _values(column.dictionary.take(pyarrow.array(used))), strict=True))
    return [None if place is None else values[place] for place in indices.to_pylist()]
