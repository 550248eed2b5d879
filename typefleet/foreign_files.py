"""Files that somebody else may have made: one reader for each kind, which states what it takes and holds to it.

A run's folder travels: it is copied from a cluster, sent along with a paper, unpacked from an archive. Whatever lies
in it is read as if its author meant harm. The readers here take regular files only, no larger than they say, and give
plain values: no pickle is ever opened, nothing is allocated because a file claims to be large, and a refusal names the
file and the place in it, never its content.

    kind    taken
    JSON    at most 64 MiB, 64 levels, UTF-8; numbers that are finite, integers of 64 bits; every key once
    lines   of JSON: the same for each line, in files of at most 4 GiB
    arrays  .npz: at most 10,000 arrays of numbers, each as large as it says; packed ones at most 1 GiB together
    files   of any other form: as much as their reader says
"""

import json
import math
import os
import re
import stat
import struct
import zipfile
import zlib
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from io import BytesIO
from itertools import count
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, NamedTuple

from typefleet.errors import ConfigError, InputError, expected, unreadable

if TYPE_CHECKING:
    from numpy.typing import NDArray

MOST_JSON_BYTES = 64 << 20
MOST_LINES_BYTES = 4 << 30
MOST_LEVELS = 64
MOST_ARRAYS, MOST_INNER_FILES = 10_000, 100
MOST_UNPACKED_BYTES = 1 << 30
_INTEGERS = range(-(2**63), 2**64)
_LONGEST_INTEGER = 20  # digits, and a sign
_LONGEST_FLOAT = 400
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
    """Content that is whole and beyond the limits of this module; its text is what was found."""


@contextmanager
def opened(path: Path, what: str, most_bytes: int, kind: type[InputError] = ConfigError) -> Iterator[IO[bytes]]:
    """A regular file, open for reading.

    Args:
        path: of it; a link to one is followed.
        what: it is, for the message.
        most_bytes: that it may have.
        kind: of the error.

    Raises:
        InputError: of this kind: there is none, it cannot be read, is a pipe, a device or a folder, or too large.
    """
    try:
        handle = os.open(
            path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC
        )  # a pipe without a writer would wait for ever
    except (OSError, ValueError) as error:  # ValueError: of a NUL in the name
        raise kind(unreadable(path, error, what)) from error
    with os.fdopen(handle, "rb") as file:
        found = os.fstat(handle)
        if not stat.S_ISREG(found.st_mode):
            raise kind(expected(path, what, "a folder" if stat.S_ISDIR(found.st_mode) else "no regular file"))
        if found.st_size > most_bytes:
            raise kind(expected(path, f"{what}, of at most {most_bytes:,} bytes", f"{found.st_size:,} bytes"))
        yield file


def read_bytes(path: Path, what: str, most_bytes: int, kind: type[InputError] = ConfigError) -> bytes:
    """The content of a regular file; see `opened`."""
    with opened(path, what, most_bytes, kind) as file:
        try:
            content = file.read(most_bytes + 1)
        except OSError as error:
            raise kind(unreadable(path, error, what)) from error
    if len(content) > most_bytes:  # it grew meanwhile, or its file system states no sizes
        raise kind(expected(path, f"{what}, of at most {most_bytes:,} bytes", "more"))
    return content


def parse_json(content: bytes, where: object, what: str, kind: type[InputError] = ConfigError) -> Any:
    """The value that some JSON stands for.

    Args:
        content: UTF-8.
        where: it comes from; to a path the number of the line is added, where there is one.
        what: it is, for the message.
        kind: of the error.

    Raises:
        InputError: of this kind: it is none, or one that is beyond the limits of this module.
    """
    try:
        found = json.loads(
            content.decode("utf-8"),
            object_pairs_hook=_object,
            parse_int=_integer,
            parse_float=_float,
            parse_constant=_constant,
        )
        if content.count(b"[") + content.count(b"{") > MOST_LEVELS:
            _require_flat(found)
    except UnicodeDecodeError as error:
        raise kind(expected(where, what, "bytes that are not UTF-8")) from error
    except json.JSONDecodeError as error:
        place = f"{where}:{error.lineno}" if isinstance(where, Path) else where
        raise kind(expected(place, what, "no JSON")) from error
    except RefusedError as error:
        raise kind(expected(where, what, error)) from error
    except RecursionError as error:
        raise kind(expected(where, what, f"more than {MOST_LEVELS} levels")) from error
    return found


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):  # of which two readers may take different ones
        raise RefusedError("a key twice in one object")
    return found


def _integer(digits: str) -> int:
    if len(digits) > _LONGEST_INTEGER or int(digits) not in _INTEGERS:
        raise RefusedError("an integer of more than 64 bits")
    return int(digits)


def _float(digits: str) -> float:
    if len(digits) > _LONGEST_FLOAT or not math.isfinite(float(digits)):
        raise RefusedError("a number that is too large")
    return float(digits)


def _constant(name: str) -> Any:
    raise RefusedError(f"{name}, which JSON does not have")


def _require_flat(found: Any) -> None:
    level = [found]
    for _ in range(MOST_LEVELS):
        level = [
            inner
            for value in level
            if isinstance(value, dict | list)
            for inner in (value.values() if isinstance(value, dict) else value)
        ]
        if not level:
            return
    if any(isinstance(value, dict | list) for value in level):
        raise RefusedError(f"more than {MOST_LEVELS} levels")


def read_json_object(
    path: Path,
    what: str,
    keys: Collection[str] = (),
    kind: type[InputError] = ConfigError,
    most_bytes: int = MOST_JSON_BYTES,
) -> dict[str, Any]:
    """The JSON object that a file holds.

    Args:
        path: the file.
        what: it is, for the message.
        keys: that it must have.
        kind: of the error.
        most_bytes: that it may have.

    Raises:
        InputError: of this kind: the file cannot be read, or holds something else.
    """
    found = parse_json(read_bytes(path, what, most_bytes, kind), path, what, kind)
    return require_object(found, path, what, keys, kind=kind)


def require_object(
    found: Any, where: object, what: str, keys: Collection[str] = (), *, kind: type[InputError] = ConfigError
) -> dict[str, Any]:
    """A value of JSON that has to be an object with these keys; see `read_json_object`."""
    if not isinstance(found, dict):
        raise kind(expected(where, what, json_kind(found)))
    for key in keys:
        if key not in found:
            raise kind(expected(where, what, f"no {key!r} in it"))
    return found


class Line(NamedTuple):
    """A line of a file."""

    number: int  # from 1
    content: bytes  # without its end
    is_whole: bool  # False: the last one, of which only the beginning was written


def json_kind(found: Any) -> str:
    """What a value of JSON is, in words, without saying which.

    Example:
        >>> json_kind(None), json_kind("secret")
        ('null', 'a text')
    """
    if isinstance(found, bool) or found is None:
        return "null" if found is None else "true or false"
    kinds = {"int": "a number", "float": "a number", "str": "a text", "list": "a list", "dict": "an object"}
    return kinds[type(found).__name__]


def read_lines(path: Path, what: str, kind: type[InputError] = ConfigError) -> Iterator[Line]:
    """The lines of a file, one after the other; only `\\n` ends one.

    Raises:
        InputError: of this kind: as `opened`, or a line is too long.
    """
    with opened(path, what, MOST_LINES_BYTES, kind) as file:
        for number in count(1):
            content = file.readline(MOST_JSON_BYTES + 1)
            if not content:
                return
            if len(content) > MOST_JSON_BYTES:
                at_most = f"{what}, in lines of at most {MOST_JSON_BYTES:,} bytes"
                raise kind(expected(f"{path}:{number}", at_most, "a longer one"))
            yield Line(number, content.removesuffix(b"\n"), content.endswith(b"\n"))


def read_arrays(
    path: Path, what: str, kind: type[InputError] = ConfigError, only: Collection[str] = ()
) -> "dict[str, NDArray[Any]]":
    """Arrays of numbers by name, in the order of the file, of an .npz.

    Args:
        path: of it.
        what: it is, for the message.
        kind: of the error.
        only: names of those that are wanted; all of them by default.

    Raises:
        InputError: of this kind: the file cannot be read, is damaged or another one, or holds anything but arrays of
            numbers.
    """
    with opened(path, what, 1 << 62, kind) as file:
        try:
            with zipfile.ZipFile(file) as archive:
                members = {one.filename.removesuffix(".npy"): one for one in _members(archive, path)}
                return {name: _array(archive, one) for name, one in members.items() if not only or name in only}
        except RefusedError as error:
            raise kind(expected(path, what, error)) from error
        except _NO_ARCHIVE as error:
            raise kind(expected(path, what, "a damaged file, or another one")) from error


def _members(archive: zipfile.ZipFile, path: Path) -> list[zipfile.ZipInfo]:
    """All members, if together they are no larger than they may be."""
    members = archive.infolist()
    if len(members) > MOST_ARRAYS or len({one.filename for one in members}) < len(members):
        raise RefusedError("too many arrays, or one twice")
    stored = packed = 0
    for one in members:
        if one.flag_bits & _ENCRYPTED:
            raise RefusedError("an encrypted array")
        if not one.filename.endswith(".npy"):
            raise RefusedError("something else than arrays")
        if one.compress_type == zipfile.ZIP_STORED:
            stored += one.file_size
        elif one.compress_type == zipfile.ZIP_DEFLATED:
            packed += one.file_size
        else:
            raise RefusedError("an unusual compression")
    # Stored members that are together larger than the file lie over each other.
    if stored > path.stat().st_size or packed > MOST_UNPACKED_BYTES:
        raise RefusedError("arrays that unpack to more than they may")
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
            if len(members) > MOST_INNER_FILES or len({one.filename for one in members}) < len(members):
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
