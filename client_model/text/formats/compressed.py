"""Files that may be compressed: gzip and Zstandard, by the last part of their name."""

import gzip
import io
import os
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, cast

from client_model.text.formats.base import DataError
from client_model.text.formats.share_read import tell
from typefleet.errors import expected
from typefleet.untrusted.arrow_columns import most_unpacked, unpacks_too_far
from typefleet.untrusted.opening import require_file

_BUFFER_BYTES = 2**17
_LINE_BYTES = 128  # that a line counts beside its own: an empty one takes time, too
_ENDINGS = {".gz": "gzip", ".zst": "zstandard"}


def name_within(path: Path) -> str:
    """The name of what a file holds, in lower case: of `Chats.jsonl.gz` it is `chats.jsonl`."""
    name = path.name.lower()
    return next((name.removesuffix(ending) for ending in _ENDINGS if name.endswith(ending)), name)


@contextmanager
def opened(path: Path) -> Iterator[BinaryIO]:
    """The bytes of a file, decompressed while they are read.

    Raises:
        DataError: what is compressed is damaged, of another kind than the name says, or made to fill a memory.
        OSError: the operating system refused it.
    """
    require_file(path, "a file of messages", DataError)
    kind = _ENDINGS.get(path.suffix.lower())
    try:
        with path.open("rb") as file, _decompressed(file, kind, path) as content:
            size = max(os.fstat(file.fileno()).st_size, 1)
            tell(lambda: file.tell() / size)
            yield content
    except (OSError, EOFError, zlib.error) as error:
        if kind is None or (isinstance(error, OSError) and error.errno is not None):
            raise
        raise DataError(expected(path, f"a {kind} file", "one of another kind, or a damaged one")) from error


def _decompressed(file: BinaryIO, kind: str | None, path: Path) -> BinaryIO:
    if kind is None:
        return file
    if kind == "gzip":
        content = cast(BinaryIO, gzip.GzipFile(fileobj=file))
    else:
        import pyarrow  # takes a while to import

        content = pyarrow.CompressedInputStream(file, "zstd")
    most = most_unpacked(os.fstat(file.fileno()).st_size)
    return io.BufferedReader(_Bounded(content, most, path), _BUFFER_BYTES)


class _Bounded(io.RawIOBase):
    """What a compressed file holds, up to a limit."""

    def __init__(self, content: BinaryIO, most: int, path: Path) -> None:
        self._content, self._left, self._path = content, most, path

    def readable(self) -> bool:
        """Whether it can be read, as the buffer asks."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Fill a buffer.

        Raises:
            DataError: there is more than the limit.
        """
        piece = self._content.read(len(buffer))
        buffer[: len(piece)] = piece
        self._left -= len(piece) + _LINE_BYTES * piece.count(b"\n")
        if self._left < 0:
            raise DataError(unpacks_too_far(self._path))
        return len(piece)
