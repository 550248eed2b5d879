"""TOML that somebody else wrote."""

import re
import tomllib
from pathlib import Path
from typing import Any

from typefleet.errors import InputError, expected
from typefleet.untrusted.json_values import levels
from typefleet.untrusted.limits import SETTINGS_BYTES, SETTINGS_LEVELS, SETTINGS_LINE_CHARACTERS
from typefleet.untrusted.opening import read_bytes, text_of

_PLACE = re.compile(r"(.*) \(at line (\d+), column \d+\)", re.DOTALL)
_REPEATED = re.compile(r"\s*(\(.*\)|'.*'|\".*\")", re.DOTALL)


def read_toml(path: Path, what: str, error: type[InputError]) -> dict[str, Any]:
    """The table that a TOML file is.

    Args:
        path: of the file.
        what: it should be, such as `settings of a run`.
        error: that is raised.

    Raises:
        error: it cannot be read, is longer than settings are, no TOML, or nested too deeply.
    """
    return toml_of(read_bytes(path, what, error, SETTINGS_BYTES), path, what, error)


def toml_of(content: bytes, path: Path, what: str, error: type[InputError]) -> dict[str, Any]:
    """The table that the bytes of a TOML file are, for who needs both; else as `read_toml`.

    Args:
        content: of the file.
        path: of it.
        what: it should be.
        error: that is raised.

    Raises:
        error: they are no TOML, or nested too deeply.
    """
    text = text_of(content, path, what, error)
    # The parser's work grows with the square of the parts of a dotted key.
    for number, line in enumerate(text.split("\n"), start=1):
        if len(line) > SETTINGS_LINE_CHARACTERS:
            wanted = f"a line of at most {SETTINGS_LINE_CHARACTERS:,} characters"
            raise error(expected(f"{path}:{number}", wanted, "a longer one"))
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as fault:
        raise error(_said(path, str(fault))) from None
    except RecursionError:
        raise error(expected(path, "TOML", "a fault: nested too deeply")) from None
    except ValueError:  # what Python says of a number or a date that it does not read
        raise error(expected(path, "TOML", "a fault: a number or a date that nobody can read")) from None
    if levels(table, SETTINGS_LEVELS) > SETTINGS_LEVELS:
        raise error(expected(path, f"tables and lists in at most {SETTINGS_LEVELS} levels", "more"))
    return table


def _said(path: Path, fault: str) -> str:
    """What the parser says, at the line that it says, without what it repeats."""
    found = _PLACE.fullmatch(fault)
    reason = (found[1] if found else fault).split(" (at end")[0]
    if not reason.startswith("Expected"):  # which names what is missing, not what is there
        reason = _REPEATED.sub("", reason)
    return expected(f"{path}:{found[2]}" if found else path, "TOML", f"a fault: {reason}")
