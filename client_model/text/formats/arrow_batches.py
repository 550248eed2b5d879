"""Messages in the batches of rows that Arrow reads, from Parquet files and others."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from client_model.text.formats.base import DataError, Message, message_of
from client_model.text.formats.columns import Columns
from typefleet.errors import expected

if TYPE_CHECKING:
    import pyarrow


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
    except (pyarrow.ArrowException, UnicodeDecodeError, OSError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise  # the operating system's; Arrow's own are of damaged files
        raise DataError(expected(path, what, "one of another kind, or a damaged one")) from error


def messages_in_batch(
    batch: "pyarrow.RecordBatch", columns: Columns, path: Path, rows_before: int
) -> Iterator[Message | DataError]:
    """Each message of a batch, or a DataError in place of each bad row."""
    read = {name: _values(batch.column(name)) for name in columns.names}
    for number, values in enumerate(zip(*read.values(), strict=True), start=rows_before + 1):
        yield message_of(dict(zip(read, values, strict=True)), f"{path}:row {number}", columns)


def _values(column: "pyarrow.Array") -> list[Any]:
    import pyarrow

    if pyarrow.types.is_timestamp(column.type):  # as seconds: Python's own type has no nanoseconds
        microseconds = column.cast(pyarrow.timestamp("us", column.type.tz), safe=False).cast(pyarrow.int64())
        return [None if value is None else value / 1e6 for value in microseconds.to_pylist()]
    values: list[Any] = column.to_pylist()
    return values
