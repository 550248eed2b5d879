"""JSON and lines of JSON as Typefleet itself writes them, in files that may come from elsewhere.

Stricter than what people's data is held to: numbers are finite, integers have 64 bits, and a key stands once in an
object, of which two readers might otherwise take different ones.
"""

import json
import math
from collections.abc import Collection, Iterator
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple

from typefleet.errors import ConfigError, InputError, expected, unreadable
from typefleet.untrusted.json_values import levels
from typefleet.untrusted.limits import JSON_LEVELS, LEDGER_BYTES, RECORD_BYTES
from typefleet.untrusted.opening import read_bytes, require_file

_INTEGERS = range(-(2**63), 2**64)
_LONGEST_INTEGER = 20  # digits, and a sign
_LONGEST_FLOAT = 400


class _RefusedError(ValueError):
    """JSON that a parser lets through and we do not; its text is what was found."""


def parse_json(content: bytes, where: object, what: str, kind: type[InputError] = ConfigError) -> Any:
    """The value that some JSON stands for.

    Args:
        content: UTF-8.
        where: it comes from; to a path the number of the line is added, where there is one.
        what: it is, for the message.
        kind: of the error.

    Raises:
        InputError: of this kind: it is none, or one that we do not write.
    """
    try:
        found = json.loads(
            content.decode("utf-8"),
            object_pairs_hook=_object,
            parse_int=_integer,
            parse_float=_float,
            parse_constant=_constant,
        )
        if content.count(b"[") + content.count(b"{") > JSON_LEVELS and levels(found, JSON_LEVELS) > JSON_LEVELS:
            raise _RefusedError(f"more than {JSON_LEVELS} levels")
    except UnicodeDecodeError as error:
        raise kind(expected(where, what, "bytes that are not UTF-8")) from error
    except json.JSONDecodeError as error:
        place = f"{where}:{error.lineno}" if isinstance(where, Path) else where
        raise kind(expected(place, what, f"invalid JSON ({error.msg})")) from error
    except _RefusedError as error:
        raise kind(expected(where, what, error)) from error
    except RecursionError as error:
        raise kind(expected(where, what, f"more than {JSON_LEVELS} levels")) from error
    return found


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):  # of which two readers may take different ones
        raise _RefusedError("a key twice in one object")
    return found


def _integer(digits: str) -> int:
    if len(digits) > _LONGEST_INTEGER or int(digits) not in _INTEGERS:
        raise _RefusedError("an integer of more than 64 bits")
    return int(digits)


def _float(digits: str) -> float:
    if len(digits) > _LONGEST_FLOAT or not math.isfinite(float(digits)):
        raise _RefusedError("a number that is too large")
    return float(digits)


def _constant(name: str) -> Any:
    raise _RefusedError(f"{name}, which JSON does not have")


def read_json_object(
    path: Path,
    what: str,
    keys: Collection[str] = (),
    kind: type[InputError] = ConfigError,
    most_bytes: int = RECORD_BYTES,
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
    found = parse_json(read_bytes(path, what, kind, most_bytes), path, what, kind)
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
        InputError: of this kind: the file cannot be read, or a line is too long.
    """
    if require_file(path, what, kind) > LEDGER_BYTES:
        raise kind(expected(path, f"{what} of at most {LEDGER_BYTES:,} bytes", "a longer one"))
    try:
        file = path.open("rb")
    except OSError as error:
        raise kind(unreadable(path, error, what)) from error
    with file:
        for number in count(1):
            content = file.readline(RECORD_BYTES + 1)
            if not content:
                return
            if len(content) > RECORD_BYTES:
                at_most = f"{what}, in lines of at most {RECORD_BYTES:,} bytes"
                raise kind(expected(f"{path}:{number}", at_most, "a longer one"))
            yield Line(number, content.removesuffix(b"\n"), content.endswith(b"\n"))
