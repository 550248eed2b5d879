"""Messages in the batches of rows that Arrow reads, from Parquet files and others."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from client_model.text.formats.base import DataError, Message, message_of
from client_model.text.formats.columns import Columns, Moment
from typefleet.errors import expected
from typefleet.untrusted.arrow_columns import NOT_UTF8, Stamp
from typefleet.untrusted.arrow_columns import values as values_of

if TYPE_CHECKING:
    import pyarrow


def messages_in_batch(
    batch: "pyarrow.RecordBatch", columns: Columns, path: Path, rows_before: int
) -> Iterator[Message | DataError]:
    """Each message of a batch, or a DataError in place of each bad row."""
    read = {name: values_of(batch.column(batch.schema.names.index(name))) for name in columns.names}
    if columns.time is not None:
        read[columns.time] = [
            Moment(value.at_s, is_date=True) if isinstance(value, Stamp) else value for value in read[columns.time]
        ]
    damaged = any(NOT_UTF8 in values for values in read.values())
    for number, values in enumerate(zip(*read.values(), strict=True), start=rows_before + 1):
        where = f"{path}:row {number}"
        if damaged and NOT_UTF8 in values:
            yield DataError(expected(where, "UTF-8", "other bytes"))
        else:
            yield message_of(dict(zip(read, values, strict=True)), where, columns)
