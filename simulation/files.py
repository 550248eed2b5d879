"""Files that are whole or not there: a crash in the middle of a write leaves the old content."""

import glob
import io
import os
import secrets
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from typefleet.private_files import PRIVATE_FILE
from typefleet.untrusted.own_json import read_json_object as read_json_object

Seal: TypeAlias = Callable[[IO[bytes], memoryview], None]
"""Writes a content into a file so that only who has its key can read it."""


def write_atomically(path: Path, write: Callable[[IO[bytes]], None], *, private: bool = False) -> None:
    """Write a file so that a reader, or a crash, sees the old content or the new, never a part.

    Args:
        path: of the file.
        write: writes the content.
        private: the file, and its draft, are readable by their owner alone; else as the umask says.
    """
    draft = path.parent / f".{path.name}-{secrets.token_hex(4)}"
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, PRIVATE_FILE if private else 0o666)
    try:
        with os.fdopen(handle, "wb") as file:
            write(file)
            if private:
                os.fchmod(file.fileno(), PRIVATE_FILE)  # the umask may have taken the owner's bits as well
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    except OSError as error:
        if error.filename is not None:
            raise
        raise OSError(error.errno, error.strerror, str(path)) from error  # a full disk does not say what it was for
    finally:
        draft.unlink(missing_ok=True)  # it is there only if something failed
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def clear_drafts(path: Path) -> None:
    """Remove what a killed process has left of a file; nobody else may be writing it.

    Args:
        path: of the file.
    """
    for draft in path.parent.glob(f".{glob.escape(path.name)}-{'[0-9a-f]' * 8}"):
        draft.unlink(missing_ok=True)


def write_bytes_atomically(path: Path, content: bytes, *, private: bool = False) -> None:
    """`write_atomically` for content that is at hand."""

    def write(file: IO[bytes]) -> None:
        file.write(content)

    write_atomically(path, write, private=private)


def write_text_atomically(path: Path, text: str, *, private: bool = False) -> None:
    """`write_atomically` for a text, in UTF-8."""
    write_bytes_atomically(path, text.encode("utf-8"), private=private)


def write_npz_atomically(
    path: Path, arrays: Mapping[str, NDArray[Any]], *, private: bool = False, seal: Seal | None = None
) -> None:
    """`write_atomically` for arrays.

    They are put together in memory: numpy's zip file, left half-written by a full disk, complains about
    it once more when it is collected.

    Args:
        path: of the file.
        arrays: by name.
        private: as of `write_atomically`.
        seal: writes the content, where it is to be encrypted.
    """
    content = io.BytesIO()
    np.savez(content, **arrays)

    def write(file: IO[bytes]) -> None:
        if seal is None:
            file.write(content.getbuffer())
        else:
            seal(file, content.getbuffer())

    write_atomically(path, write, private=private)
