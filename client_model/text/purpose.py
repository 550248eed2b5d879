"""What a text may be used for: a mark beside it, which every use is held to.

A file or folder of messages `messages.jsonl` is marked by `messages.jsonl.purpose` beside it, a line for each purpose
for which its people gave it. Through a symbolic link the mark beside what it leads to counts as well. Without a mark
nothing is known, and nothing refused.
"""

import os
import re
from collections.abc import Iterator
from pathlib import Path

from client_model.text.formats.base import DataError
from typefleet.errors import expected
from typefleet.untrusted.opening import read_text

NEXT_WORD = "next-word"
_WORD = re.compile(r"[a-z0-9][a-z0-9-]{0,39}")
_FORM = "a word of at most 40 small letters, digits and hyphens"
_MOST_BYTES = 10_000


def mark_of(path: Path) -> Path:
    """Where the mark of a text stands."""
    return path.with_name(f"{path.name}.purpose")


def _marks(path: Path) -> Iterator[Path]:
    """Those that are there: beside the text as it is named, and beside what that, or a link within it, leads to."""
    links = [one for one in path.glob("*") if one.is_symlink()]  # none of a file; what cannot be read is refused later
    for place in (path, *(Path(os.path.realpath(one)) for one in (path, *links))):
        if place.name not in {"", ".."} and (mark := mark_of(place)).exists():
            yield mark


def check_purpose(purpose: str) -> None:
    """Refuse what is no purpose.

    Raises:
        DataError: it is not one word.
    """
    if not _WORD.fullmatch(purpose):
        raise DataError(expected("--data.purpose", f"{_FORM}, such as {NEXT_WORD}", repr(purpose)))


def require_purpose(path: Path, purpose: str) -> None:
    """Hold the use of a text to the marks beside it.

    Args:
        path: of the text.
        purpose: of the run.

    Raises:
        DataError: the text is marked, and not for this, or the mark is none.
    """
    check_purpose(purpose)
    for mark in _marks(path):
        allowed = read_text(mark, "the purposes of a text", DataError, _MOST_BYTES).split()
        for place, word in enumerate(allowed, start=1):
            if not _WORD.fullmatch(word):
                raise DataError(expected(f"{mark}: word {place}", _FORM, "another text"))
        if purpose not in allowed:
            named = f"one that {mark} names ({', '.join(allowed) or 'none'})"
            raise DataError(expected("--data.purpose", named, purpose))
