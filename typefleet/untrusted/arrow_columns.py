"""Columns that Arrow reads, from Parquet files and others, as Python's values."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from typefleet.errors import InputError, expected
from typefleet.untrusted.limits import LINE_BYTES, MIB, UNPACKED_BYTES, UNPACKED_TIMES

if TYPE_CHECKING:
    import pyarrow.parquet

_PER_S = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}
_DAY_S = 86_400
_BATCH_ROWS, _BATCH_BYTES = 65_536, 32 * MIB


class Stamp(NamedTuple):
    """A date, or a time of one."""

    at_s: float  # since 1970, UTC


class _Other:
    """Stands for a value that nobody reads: of another type, or a text that is not UTF-8."""


OTHER, NOT_UTF8 = _Other(), _Other()


@contextmanager
def arrow_refusals(path: Path, what: str, error: type[InputError]) -> Iterator[None]:
    """What Arrow says of a damaged file becomes one line.

    Args:
        path: the file.
        what: it should be, such as `a Parquet file`.
        error: that is raised.

    Raises:
        error: in the place of Arrow's own errors.
        OSError: the operating system refused it.
    """
    import pyarrow  # takes longer to import than all else here

    try:
        yield
    except (pyarrow.ArrowException, UnicodeDecodeError, KeyError, OverflowError, MemoryError, OSError) as refused:
        if isinstance(refused, OSError) and refused.errno is not None:
            raise  # the operating system's; Arrow's own are of damaged files
        raise error(expected(path, what, "one of another kind, or a damaged one")) from refused


def unpacks_too_far(path: Path) -> str:
    """The message of a file that holds far more than its size lets expect."""
    return expected(path, f"content of at most {UNPACKED_TIMES} times the file's size", "more")


def most_unpacked(size: int) -> int:
    """Bytes that a file of a size may hold, unpacked."""
    return max(UNPACKED_BYTES, UNPACKED_TIMES * size)


def parquet_batches(
    path: Path, table: "pyarrow.parquet.ParquetFile", names: Sequence[str], error: type[InputError]
) -> Iterator["pyarrow.RecordBatch"]:
    """Some columns of a Parquet file, in batches that fit in memory.

    Args:
        path: the file.
        table: the same, opened.
        names: of the columns.
        error: that is raised.

    Raises:
        error: the columns unpack to far more than the file's size.
        ArrowException: the file is damaged.
    """
    left = most_unpacked(path.stat().st_size)
    if _unpacked(table.metadata, names) > left:
        raise error(unpacks_too_far(path))
    for batch in table.iter_batches(_rows_at_a_time(path, table, names, error), columns=list(names)):
        left -= batch.nbytes
        if left < 0:
            raise error(unpacks_too_far(path))
        yield batch


def _unpacked(about: "pyarrow.parquet.FileMetaData", names: Sequence[str]) -> int:
    """Bytes that the pages of some columns have, unpacked, as the file says."""
    groups = (about.row_group(number) for number in range(about.num_row_groups))
    columns = (group.column(number) for group in groups for number in range(group.num_columns))
    return sum(one.total_uncompressed_size for one in columns if one.path_in_schema.split(".")[0] in names)


def _rows_at_a_time(
    path: Path, table: "pyarrow.parquet.ParquetFile", names: Sequence[str], error: type[InputError]
) -> int:
    """As many as fit in memory if all have the longest text that stands in a dictionary.

    There a text stands once, however many rows have it, and each row that is read takes it anew.
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
        raise error(expected(path, f"texts of at most {LINE_BYTES // MIB} MiB", "a longer one"))
    return min(_BATCH_ROWS, _BATCH_BYTES // longest)


def values(column: "pyarrow.Array") -> list[Any]:
    """A column's texts, numbers, bytes (whose content is left out), stamps and missing values.

    Whatever else a type may hold is `OTHER`, and a text that is not UTF-8 is `NOT_UTF8`.

    Raises:
        ArrowException: the column is damaged.
    """
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
        return [None if number is None else Stamp(number / per_s) for number in numbers.to_pylist()]
    if types.is_integer(kind) or types.is_floating(kind) or types.is_boolean(kind) or types.is_null(kind):
        column.validate(full=True)
        found: list[Any] = column.to_pylist()
        return found
    other = b"" if types.is_binary(kind) or types.is_large_binary(kind) else OTHER
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
        return NOT_UTF8


def _of_dictionary(column: "pyarrow.DictionaryArray") -> list[Any]:
    """Each distinct value is made once: there may be few, and very many rows."""
    import numpy as np
    import pyarrow

    indices = column.indices
    indices.validate(full=True)
    places = indices.to_pylist()
    used = np.unique(np.array([place for place in places if place is not None], np.int64))
    if len(used) and not 0 <= used[0] <= used[-1] < len(column.dictionary):
        raise pyarrow.ArrowInvalid("places outside the dictionary")
    distinct = dict(zip(used.tolist(), values(column.dictionary.take(pyarrow.array(used))), strict=True))
    return [None if place is None else distinct[place] for place in places]
