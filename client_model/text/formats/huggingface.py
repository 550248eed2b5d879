"""A folder as Hugging Face's `datasets` saves one, or as its hub has them: Arrow streams or Parquet files.

Of a folder with several splits, all are read.
"""

from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from client_model.text.formats.arrow_batches import messages_in_batch
from client_model.text.formats.base import DataError, Message, require_columns, unpacked_within_reason
from client_model.text.formats.columns import USUAL, Columns
from client_model.text.formats.parquet_table import ParquetTable
from client_model.text.formats.share_read import one_after_another
from typefleet.doors import Kind
from typefleet.errors import expected
from typefleet.untrusted.arrow_columns import arrow_refusals
from typefleet.untrusted.json_values import read_json
from typefleet.untrusted.limits import FILES, MIB
from typefleet.untrusted.opening import require_few, require_file
from typefleet.untrusted.survival import require_survival

if TYPE_CHECKING:
    import pyarrow

_STATE = "state.json"  # beside the files of a saved split: which of the .arrow files there are its own


@dataclass(frozen=True)
class HuggingFace:
    """The folder's Arrow files, or else its Parquet files, by name."""

    columns: Columns = USUAL
    endings: ClassVar[tuple[str, ...]] = ()

    def with_columns(self, columns: Columns) -> "HuggingFace":
        """The same with other columns."""
        return HuggingFace(columns)

    def read(self, path: Path) -> Iterator[Message | DataError]:
        """Each row as a message, or a DataError in place of each bad one.

        Raises:
            DataError: there is nothing of the kind in the folder, a file is damaged, or one lacks a column.
        """
        if path.exists() and not path.is_dir():
            raise DataError(expected(path, "a folder that datasets saved", "a file"))
        path.stat()  # what the operating system refuses is said by this
        arrow = _saved(path)
        files = arrow or sorted(path.rglob("*.parquet"))
        if not files:
            raise DataError(expected(path, "a folder with .arrow or .parquet files", "none in it"))
        require_few(path, files, FILES, DataError)
        for file in one_after_another(files):
            if arrow:
                import pyarrow  # noqa: F401  # before the copy is made, which then has it

                what, read = "a file of Arrow record batches", partial(self._stream, file)
                require_survival(file, what, DataError, partial(_read_all, read))
                yield from unpacked_within_reason(self._stream(file), file)
            else:
                yield from ParquetTable(self.columns).read(file)

    def _stream(self, file: Path) -> Iterator[Message | DataError]:
        with arrow_refusals(file, "a file of Arrow record batches", DataError), _batches(file) as batches:
            require_columns(str(file), batches.schema.names, self.columns)
            rows = 0
            for batch in batches:
                yield from messages_in_batch(batch, self.columns, file, rows)
                rows += batch.num_rows


def _read_all(read: Callable[[], Iterator[Message | DataError]]) -> None:
    deque(read(), maxlen=0)


@contextmanager
def _batches(file: Path) -> "Iterator[pyarrow.RecordBatchReader]":
    import pyarrow

    require_file(file, "a file of Arrow record batches", DataError)
    with file.open("rb") as content, pyarrow.ipc.open_stream(content) as batches:
        yield batches


def _saved(path: Path) -> list[Path]:
    """The Arrow files of all splits, without those that were put beside them later.

    Raises:
        DataError: a file that a split names is not there, or the list cannot be read.
    """
    files: list[Path] = []
    for folder in sorted({file.parent for file in path.rglob("*.arrow")} | {f.parent for f in path.rglob(_STATE)}):
        listed = folder / _STATE
        files += _listed(listed) if listed.exists() else sorted(folder.glob("*.arrow"))
    return files


def _listed(state: Path) -> list[Path]:
    found = read_json(state, "a list of _data_files", DataError, MIB)
    try:
        files = [state.with_name(one["filename"]) for one in found["_data_files"]]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(expected(state, "a list of _data_files", "none")) from error
    missing = [number for number, file in enumerate(files, start=1) if not file.is_file()]
    if missing:
        raise DataError(expected(state, "all of its _data_files beside it", f"no. {missing[0]} missing"))
    return files


KIND = Kind("huggingface", "a folder of Hugging Face's datasets", make=lambda settings: HuggingFace())
