"""Messages in Parquet files: one per row."""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from client_model.text.formats.arrow_batches import messages_in_batch
from client_model.text.formats.base import DataError, Message, require_columns
from client_model.text.formats.columns import USUAL, Columns
from client_model.text.formats.share_read import tell
from typefleet.doors import Kind
from typefleet.untrusted.arrow_columns import arrow_refusals, parquet_batches
from typefleet.untrusted.opening import require_file
from typefleet.untrusted.survival import require_survival


@dataclass(frozen=True)
class ParquetTable:
    """A Parquet table, read in batches."""

    columns: Columns = USUAL
    endings: ClassVar[tuple[str, ...]] = (".parquet",)

    def with_columns(self, columns: Columns) -> "ParquetTable":
        """The same with other columns."""
        return ParquetTable(columns)

    def read(self, path: Path) -> Iterator[Message | DataError]:
        """Each message, or a DataError in place of each bad row.

        Raises:
            DataError: the file is no Parquet, lacks one of the columns, or unpacks to far more than its size.
        """
        require_file(path, "a file of messages", DataError)
        import pyarrow.parquet  # noqa: F401  # takes a while; before the copy is made, which then has it

        require_survival(path, "a Parquet file", DataError, lambda: deque(self._read(path), maxlen=0))
        yield from self._read(path)

    def _read(self, path: Path) -> Iterator[Message | DataError]:
        import pyarrow.parquet

        with arrow_refusals(path, "a Parquet file", DataError), pyarrow.parquet.ParquetFile(path) as table:
            require_columns(f"{path}:1", table.schema_arrow.names, self.columns)
            rows, all_rows = 0, max(table.metadata.num_rows, 1)
            tell(lambda: rows / all_rows)
            for batch in parquet_batches(path, table, self.columns.names, DataError):
                yield from messages_in_batch(batch, self.columns, path, rows)
                rows += batch.num_rows


KIND = Kind("parquet", "a Parquet table", make=lambda settings: ParquetTable())
