"""JSON that somebody else wrote."""

import json
from pathlib import Path
from typing import Any

from typefleet.errors import InputError, expected
from typefleet.untrusted.limits import JSON_BYTES, JSON_LEVELS
from typefleet.untrusted.opening import read_bytes


def json_value(
    raw: bytes, where: object, what: str, error: type[InputError], *, of_file: bool = False, keys_once: bool = False
) -> Any:
    """The value of some JSON in UTF-8.

    Args:
        raw: the bytes.
        where: they stand.
        what: they should be.
        error: that is raised.
        of_file: they are a whole file, so that a fault is said with its line.
        keys_once: whether a key that stands twice in an object is refused; else the last one counts.

    Raises:
        error: they are no JSON, or JSON that nobody writes: too deep, or with a number of thousands of digits.
    """

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) < len(pairs):
            raise error(expected(where, f"{what} with each key once", "a key twice"))
        return found

    try:
        value = json.loads(raw.decode("utf-8"), object_pairs_hook=once if keys_once else None)
    except UnicodeDecodeError as fault:
        raise error(expected(where, "UTF-8", f"byte 0x{raw[fault.start]:02x}")) from None
    except json.JSONDecodeError as fault:
        place = f"{where}:{fault.lineno}" if of_file else where
        raise error(expected(place, what, f"invalid JSON ({fault.msg})")) from None
    except RecursionError:
        raise error(expected(where, what, "invalid JSON (nested too deeply)")) from None
    except InputError:
        raise
    except ValueError:  # what Python says of a number that it does not read
        raise error(expected(where, what, "a number with thousands of digits")) from None
    if raw.count(b"[") + raw.count(b"{") > JSON_LEVELS and levels(value, JSON_LEVELS) > JSON_LEVELS:
        raise error(expected(where, what, "invalid JSON (nested too deeply)"))
    return value


def levels(value: Any, most: int) -> int:
    """How many lists and tables lie in each other; more than `most` are not counted on.

    Example:
        >>> levels({"a": [1, {}]}, 10)
        3
    """
    found, level = 0, [value] if isinstance(value, dict | list) else []
    while level and found <= most:
        found += 1
        level = [
            inner
            for one in level
            for inner in (one.values() if isinstance(one, dict) else one)
            if isinstance(inner, dict | list)
        ]
    return found


def read_json(path: Path, what: str, error: type[InputError], most: int = JSON_BYTES) -> Any:
    """The JSON value that a file is.

    Args:
        path: of the file.
        what: it should be, such as `a manifest`.
        error: that is raised.
        most: bytes.

    Raises:
        error: it cannot be read, is longer, or is no JSON.
    """
    raw = read_bytes(path, what, error, most)
    return json_value(raw.removeprefix(b"\xef\xbb\xbf"), path, what, error, of_file=True)


def read_json_object(path: Path, what: str, error: type[InputError], most: int = JSON_BYTES) -> dict[str, Any]:
    """`read_json` of a file that is an object.

    Raises:
        error: as `read_json`, or it is another value.
    """
    found = read_json(path, what, error, most)
    if not isinstance(found, dict):
        raise error(expected(path, what, f"a JSON {type(found).__name__}"))
    return found
