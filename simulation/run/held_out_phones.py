"""What the last measurement counted on each held-out phone, kept so that a recall can be given with its interval.

A Parquet table with one row per phone: its number in the population, and a column for each count that the metrics are
made of (a list where a phone has several). Two runs over the same text and seed hold the same phones out, so their
difference can be taken phone by phone. Of an owner who does not agree to telemetry there is no row, though the metrics
have it in their sums; of nobody there is no file. In a run with a storage key it is encrypted.
"""

import io
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from server_strategy.pooled_evaluation import PhoneCounts
from simulation.storage.run_files import read_secret, write_secret
from typefleet.errors import ConfigError, expected
from typefleet.untrusted.limits import COLUMNS, COUNTED_PHONES, UNPACKED_BYTES
from typefleet.untrusted.opening import read_bytes

_PHONE = "phone"


def write_phone_counts(path: Path, counted: PhoneCounts) -> None:
    """Replace the table, whole or not at all.

    Args:
        path: of the Parquet file.
        counted: on each phone of which there may be a record; of none, an older table is deleted.
    """
    if not len(counted.phones):
        path.unlink(missing_ok=True)
        return
    import pyarrow as pa  # takes longer to import than a small table to write
    import pyarrow.parquet as pq

    columns = {_PHONE: pa.array(counted.phones)}
    for name, values in counted.counts.items():
        columns[name] = pa.array(values if values.ndim == 1 else values.tolist())
    table, content = pa.table(columns), io.BytesIO()
    pq.write_table(table, content)
    write_secret(path.parent, path, content.getvalue())


def read_phone_counts(path: Path) -> PhoneCounts:
    """What was counted on each phone.

    Raises:
        ConfigError: the file is missing, damaged, or another one; or it is encrypted, and its key is gone or another.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    what = "the counts of a run's held-out phones"
    content = read_secret(path.parent, path)
    if content is None:
        content = read_bytes(path, what, ConfigError, UNPACKED_BYTES)
    try:
        with pq.ParquetFile(pa.BufferReader(content)) as file:
            names = file.schema_arrow.names
            if len(set(names)) < len(names):
                raise ConfigError(expected(path, what, "a column twice"))
            if file.metadata.num_rows > COUNTED_PHONES or file.metadata.num_columns > COLUMNS:
                raise ConfigError(expected(path, what, "more of them than any run has"))
            table = file.read(use_threads=False)
        columns = {name: _counts_of(table[name]) for name in table.column_names}
    except (pa.ArrowException, OSError, ValueError, TypeError, OverflowError) as error:
        if isinstance(error, ConfigError):
            raise
        raise ConfigError(expected(path, what, "a damaged file, or another one")) from error
    phones = columns.pop(_PHONE, None)
    usable = phones is not None and phones.ndim == 1 and phones.dtype.kind == "i"
    if phones is None or not usable or (np.diff(phones) <= 0).any() or (phones < 0).any():
        raise ConfigError(expected(path, what, "another table"))
    return PhoneCounts(phones, columns)


def _counts_of(column: Any) -> NDArray[Any]:
    """Numbers, [phones] or [phones, n]."""
    if column.null_count:
        raise ValueError(expected("a column", "a count of each phone", "one that is missing"))
    found = np.array(column.to_pylist())
    if found.dtype.kind not in "if" and len(found):
        raise ValueError(expected("a column", "numbers", "something else"))
    if len(found) and not np.isfinite(found).all():
        raise ValueError(expected("a column", "finite numbers", "others"))
    return found
