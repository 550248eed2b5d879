"""Messages in Parquet files: one per row."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from client_model.text.formats.arrow_batches import arrow_refusals, messages_in_batch
from client_model.text.formats.base import DataError, Message, require_columns
from client_model.text.formats.columns import USUAL, Columns
from client_model.text.formats.share_read import tell
from typefleet.doors import Kind


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
            DataError: the file is no Parquet, or lacks one of the columns.
        """
        import pyarrow.parquet  # takes a while

        with arrow_refusals(path, "a Parquet file"), pyarrow.parquet.ParquetFile(path) as table:
            require_columns(f"{path}:1", table.schema_arrow.names, self.columns)
            rows, all_rows = 0, max(table.metadata.num_rows, 1)
            tell(lambda: rows / all_rows)
            for batch in table.iter_batches(columns=self.columns.names):
                yield from messages_in_batch(batch, self.columns, path, rows)
                rows += batch.num_rows


KIND = Kind("parquet", "a Parquet table", make=lambda settings: ParquetTable())
