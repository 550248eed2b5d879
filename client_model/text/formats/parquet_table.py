"""Messages in Parquet files: one per row, with the columns `user_id` and `text`."""

from collections.abc import Iterator
from pathlib import Path

from client_model.text.formats.base import DataError, Message, message_of, require_columns
from typefleet.doors import Kind
from typefleet.errors import expected


class ParquetTable:
    """A Parquet table, read in batches."""

    endings = (".parquet",)

    def read(self, path: Path) -> Iterator[Message | DataError]:
        """Each message, or a DataError in place of each bad row.

        Raises:
            DataError: the file is no Parquet, or has no user_id or no text.
        """
        import pyarrow  # takes longer to import than the others together
        import pyarrow.parquet

        try:
            with pyarrow.parquet.ParquetFile(path) as table:
                require_columns(path, table.schema_arrow.names)
                number = 0
                for batch in table.iter_batches(columns=["user_id", "text"]):
                    for row in batch.to_pylist():
                        number += 1
                        yield message_of(row, f"{path}:row {number}")
        except (pyarrow.ArrowException, UnicodeDecodeError, OSError) as error:
            if isinstance(error, OSError) and error.errno is not None:
                raise  # the operating system's; Arrow's own are of damaged files
            raise DataError(expected(path, "a Parquet file", "one of another kind, or a damaged one")) from error


KIND = Kind("parquet", "a Parquet table", make=lambda settings: ParquetTable())
