"""Messages in Parquet files: one per row."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from client_model.text.formats.arrow_batches import arrow_refusals, messages_in_batch
from client_model.text.formats.base import DataError, Message, require_columns, unpacks_too_far
from client_model.text.formats.columns import USUAL, Columns
from client_model.text.formats.share_read import tell
from typefleet.doors import Kind
from typefleet.errors import expected
from typefleet.untrusted.limits import LINE_BYTES, MIB, UNPACKED_BYTES, UNPACKED_TIMES
from typefleet.untrusted.opening import require_file

if TYPE_CHECKING:
    import pyarrow.parquet

_BATCH_ROWS, _BATCH_BYTES = 65_536, 128 * MIB


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
        size, names = require_file(path, "a file of messages", DataError), self.columns.names
        import pyarrow.parquet  # takes a while

        with arrow_refusals(path, "a Parquet file"), pyarrow.parquet.ParquetFile(path) as table:
            require_columns(f"{path}:1", table.schema_arrow.names, self.columns)
            left = max(UNPACKED_BYTES, UNPACKED_TIMES * size)
            if _unpacked(table.metadata, names) > left:
                raise DataError(unpacks_too_far(path))
            rows, all_rows = 0, max(table.metadata.num_rows, 1)
            tell(lambda: rows / all_rows)
            for batch in table.iter_batches(_rows_at_a_time(path, table, names), columns=names):
                left -= batch.nbytes
                if left < 0:
                    raise DataError(unpacks_too_far(path))
                yield from messages_in_batch(batch, self.columns, path, rows)
                rows += batch.num_rows


def _unpacked(about: "pyarrow.parquet.FileMetaData", names: Sequence[str]) -> int:
    """Bytes that the pages of some columns have, unpacked, as the file says."""
    groups = (about.row_group(number) for number in range(about.num_row_groups))
    columns = (group.column(number) for group in groups for number in range(group.num_columns))
    return sum(one.total_uncompressed_size for one in columns if one.path_in_schema in names)


def _rows_at_a_time(path: Path, table: "pyarrow.parquet.ParquetFile", names: Sequence[str]) -> int:
    """As many as fit in memory if all have the longest text that stands in a dictionary.

    There a text stands once, however many rows have it, and each row that is read takes it anew.

    Raises:
        DataError: a text is longer than any line may be.
    """
    import pyarrow.compute

    schema = table.schema_arrow
    texts = [name for name in names if pyarrow.types.is_string(schema.field(name).type)]
    longest = 1
    with pyarrow.parquet.ParquetFile(path, read_dictionary=texts) as look:
        for group in range(look.metadata.num_row_groups if texts else 0):
            batch = next(look.iter_batches(1, row_groups=[group], columns=texts), None)
            for column in () if batch is None else batch.columns:
                if pyarrow.types.is_dictionary(column.type):
                    raw = column.dictionary.view(pyarrow.binary())
                    longest = max(longest, pyarrow.compute.max(pyarrow.compute.binary_length(raw)).as_py() or 1)
    if longest > LINE_BYTES:
        raise DataError(expected(path, f"texts of at most {LINE_BYTES // MIB} MiB", "a longer one"))
    return min(_BATCH_ROWS, _BATCH_BYTES // longest)


KIND = Kind("parquet", "a Parquet table", make=lambda settings: ParquetTable())
