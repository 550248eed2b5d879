"""Files that may be compressed: gzip and Zstandard, by the last part of their name."""

import gzip
import io
import os
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, cast

from client_model.text.formats.base import DataError
from client_model.text.formats.share_read import tell
from typefleet.errors import expected

_ENDINGS = {".gz": "gzip", ".zst": "zstandard"}


def name_within(path: Path) -> str:
    """The name of what a file holds, in lower case: of `Chats.jsonl.gz` it is `chats.jsonl`."""
    name = path.name.lower()
    return next((name.removesuffix(ending) for ending in _ENDINGS if name.endswith(ending)), name)


@contextmanager
def opened(path: Path) -> Iterator[BinaryIO]:
    """The bytes of a file, decompressed while they are read.

    Raises:
        DataError: what is compressed is damaged, or of another kind than the name says.
        OSError: the operating system refused it.
    """
    kind = _ENDINGS.get(path.suffix.lower())
    try:
        with path.open("rb") as file, _decompressed(file, kind) as content:
            size = max(os.fstat(file.fileno()).st_size, 1)
            tell(lambda: file.tell() / size)
            yield content
    except (OSError, EOFError, zlib.error) as error:
        if kind is None or (isinstance(error, OSError) and error.errno is not None):
            raise
        raise DataError(expected(path, f"a {kind} file", "one of another kind, or a damaged one")) from error


def _decompressed(file: BinaryIO, kind: str | None) -> BinaryIO:
    if kind == "gzip":
        return cast(BinaryIO, gzip.open(file, "rb"))
    if kind == "zstandard":
        import pyarrow  # takes a while to import

        return io.BufferedReader(pyarrow.CompressedInputStream(file, "zstd"))
    return file
