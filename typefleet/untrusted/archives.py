"""Zip archives that somebody else wrote: arrays of numbers (.npz), and the files inside a model.

Nothing is allocated because an archive claims to be large, and no array is made of a pickle: a header is matched with
the one form that numpy writes, and evaluated by nobody.
"""

import math
import re
import struct
import zipfile
import zlib
from collections.abc import Callable, Collection
from io import SEEK_END, BytesIO
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from typefleet.errors import ConfigError, InputError, expected, unreadable
from typefleet.untrusted.limits import ARRAYS, INNER_FILES, UNPACKED_ARRAYS_BYTES
from typefleet.untrusted.opening import require_file

if TYPE_CHECKING:
    from numpy.typing import NDArray

_MOST_HEADER_BYTES = 4096
_MOST_AXES = 32
_AT_A_TIME = 1 << 20
# Booleans, integers and floats; bytes and texts have no place among weights, and objects are pickles.
_HEADER = re.compile(
    rb"\{'descr': '((?:\|b1|\|[iu]1|[<>][iu][248]|[<>]f[248]))', 'fortran_order': (True|False), "
    rb"'shape': \(((?:[0-9]{1,18}, ?)*(?:[0-9]{1,18})?)\),? *\} *\n"
)
_ENCRYPTED = 0x1
# What zipfile and numpy make of bytes that are no archive of arrays.
_NO_ARCHIVE = (
    *(zipfile.BadZipFile, zipfile.LargeZipFile, NotImplementedError, EOFError, OSError, RuntimeError),
    *(ValueError, KeyError, IndexError, OverflowError, struct.error, zlib.error),
)


class RefusedError(ValueError):
    """Content that is whole and beyond the limits; its text is what was found."""


class DirectoryError(RefusedError):
    """The archive's list of what is in it, which has no checksum, says what it may not: one flipped bit suffices."""


def read_arrays(
    path: Path,
    what: str,
    kind: type[InputError] = ConfigError,
    only: Collection[str] = (),
    *,
    opened: Callable[[], IO[bytes]] | None = None,
) -> "dict[str, NDArray[Any]]":
    """Arrays of numbers by name, in the order of the file, of an .npz.

    Args:
        path: of it.
        what: it is, for the message.
        kind: of the error.
        only: names of those that are wanted; all of them by default.
        opened: opens what the file holds, where that is not what lies on the disk.

    Raises:
        InputError: of this kind: the file cannot be read, is damaged or another one, or holds anything but arrays of
            numbers.
    """
    require_file(path, what, kind)
    try:
        file = path.open("rb") if opened is None else opened()
    except OSError as error:
        raise kind(unreadable(path, error, what)) from error
    with file:
        try:
            with zipfile.ZipFile(file) as archive:
                members = {one.filename.removesuffix(".npy"): one for one in _members(archive, _size_of(file))}
                return {name: _array(archive, one) for name, one in members.items() if not only or name in only}
        except RefusedError as error:
            raise kind(expected(path, what, error)) from error
        except _NO_ARCHIVE as error:
            raise kind(expected(path, what, "a damaged file, or another one")) from error


def _size_of(file: IO[bytes]) -> int:
    return file.seek(0, SEEK_END)


def _members(archive: zipfile.ZipFile, size: int) -> list[zipfile.ZipInfo]:
    """All members, if together they are no larger than they may be."""
    members = archive.infolist()
    if len(members) > ARRAYS or len({one.filename for one in members}) < len(members):
        raise DirectoryError("too many arrays, or one twice")
    stored = packed = 0
    for one in members:
        if one.flag_bits & _ENCRYPTED:
            raise DirectoryError("an encrypted array")
        if not one.filename.endswith(".npy"):
            raise DirectoryError("something else than arrays")
        if one.comment:  # as one flipped bit in its length makes of the entries that follow
            raise DirectoryError("an array with a comment")
        if one.compress_type == zipfile.ZIP_STORED and one.compress_size != one.file_size:
            raise DirectoryError("an array of two sizes")
        if one.compress_type == zipfile.ZIP_STORED:
            stored += one.file_size
        elif one.compress_type == zipfile.ZIP_DEFLATED:
            packed += one.file_size
        else:
            raise DirectoryError("an unusual compression")
    # Stored members that are together larger than the file lie over each other.
    if stored > size or packed > UNPACKED_ARRAYS_BYTES:
        raise DirectoryError("arrays that unpack to more than they may")
    return members


def _array(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> "NDArray[Any]":
    """An array whose header says what its bytes are."""
    import numpy as np  # takes longer than to read a small file

    content, at = bytearray(member.file_size), 0
    with archive.open(member) as file:
        while part := file.read(_AT_A_TIME):
            content[at : at + len(part)] = part
            at += len(part)
    shape, column_major, kind, begin = _header(content)
    dtype = np.dtype(kind)
    if at != member.file_size or math.prod(shape) * dtype.itemsize != at - begin:
        raise RefusedError("an array of another size than it says")
    flat = np.frombuffer(content, dtype, offset=begin)
    ordered = flat.reshape(shape[::-1]).T if column_major else flat.reshape(shape)
    return np.require(ordered, dtype.newbyteorder("="), ["A", "W"])


def _header(content: bytearray) -> tuple[tuple[int, ...], bool, str, int]:
    """(shape, whether columns come first, type, where the numbers begin) of an .npy.

    The header is a Python literal in a fixed form; it is matched, and nothing is evaluated.
    """
    version, prefix = bytes(content[6:8]), content[8:12]
    begin = 10 + int.from_bytes(prefix[:2], "little") if version == b"\1\0" else 12 + int.from_bytes(prefix, "little")
    found = _HEADER.fullmatch(content, 10 if version == b"\1\0" else 12, min(begin, len(content)))
    if content[:6] != b"\x93NUMPY" or version not in (b"\1\0", b"\2\0") or begin > _MOST_HEADER_BYTES or not found:
        raise RefusedError("an array of something else than numbers, or in another form")
    kind, column_major, lengths = (part.decode("ascii") for part in found.groups())
    shape = tuple(int(length) for length in lengths.split(",") if length.strip())
    if len(shape) > _MOST_AXES:
        raise RefusedError("an array of too many axes")
    return shape, column_major == "True", kind, begin


def read_inner_files(
    content: bytes, where: object, what: str, *, most_bytes: int, kind: type[InputError] = ConfigError
) -> dict[str, bytes]:
    """Files of a zip archive, which may have something before it, by name.

    Args:
        content: ends with the archive.
        where: it comes from.
        what: it holds, for the message.
        most_bytes: that they may have together.
        kind: of the error.

    Raises:
        InputError: of this kind: there are none, one is there twice, encrypted or damaged, or they are too large.
    """
    try:
        with zipfile.ZipFile(BytesIO(content)) as archive:
            members = archive.infolist()
            if len(members) > INNER_FILES or len({one.filename for one in members}) < len(members):
                raise RefusedError("too many, or one twice")
            if any(one.flag_bits & _ENCRYPTED for one in members):
                raise RefusedError("one that is encrypted")
            if sum(one.file_size for one in members) > most_bytes:
                raise RefusedError(f"more than {most_bytes:,} bytes of them")
            return {one.filename: archive.read(one) for one in members}
    except RefusedError as error:
        raise kind(expected(where, what, error)) from error
    except _NO_ARCHIVE as error:
        raise kind(expected(where, what, "none")) from error
