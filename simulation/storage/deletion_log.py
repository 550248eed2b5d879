"""What was deleted of a run or of the cache, when and why: one line each in `deletions.jsonl`, append-only.

Each line has the hash of the line before it, as the lines of the privacy ledger have. So a line that was changed, or
taken out from between others, is seen; who takes lines off the end, or writes all of them anew, is not: keep the last
hash elsewhere, as a backup of the file does. A line is on disk before what it names is deleted: after a crash between
the two, the next deletion has a line of its own.
"""

import fcntl
import json
import os
from dataclasses import asdict, dataclass, fields
from datetime import datetime
from pathlib import Path
from typing import IO, Any

from server_strategy.privacy.ledger_lines import chained
from typefleet.errors import ConfigError, expected, unwritable
from typefleet.private_files import open_private
from typefleet.untrusted.own_json import parse_json, read_lines

LOG = "deletions.jsonl"
_WHAT = "the log of what was deleted"


@dataclass(frozen=True)
class Deletion:
    """What a line says.

    Attributes:
        at: when, in UTC, as ISO 8601.
        what: file or folder, by its path in the folder of the log.
        category: of what is kept for how long, or `key` where somebody asked for the key to be erased.
        files, bytes: that were there.
        keep_days: how long it was to be kept; None: nobody said.
        age_days: how old it was.
        key_erased: whether what was encrypted can be read by nobody from now on, from no copy either.
    """

    at: str
    what: str
    category: str
    files: int
    bytes: int
    keep_days: float | None
    age_days: float
    key_erased: bool


_KINDS: dict[str, tuple[type, ...]] = {
    **dict.fromkeys(("at", "what", "category"), (str,)),
    **dict.fromkeys(("files", "bytes"), (int,)),
    "keep_days": (int, float, type(None)),
    "age_days": (int, float),
    "key_erased": (bool,),
}


def record_deletion(folder: Path, deletion: Deletion) -> None:
    """Add a line, and sync it; of several processes that do so, each in its turn.

    Raises:
        ConfigError: the log was changed, or cannot be written.
    """
    path = folder / LOG
    try:
        with open_private(path, "a+b") as file:
            fcntl.flock(file, fcntl.LOCK_EX)  # from reading the last line to writing the next
            earlier = read_log(folder)
            previous = earlier[-1][1] if earlier else ""
            line = chained({"number": len(earlier) + 1, **asdict(deletion)}, previous)
            _drop_half_a_line(file)
            file.write(json.dumps(line).encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise ConfigError(unwritable(path, error)) from error


def read_log(folder: Path) -> list[tuple[Deletion, str]]:
    """Every deletion, with the hash of its line; none where there is no log.

    Raises:
        ConfigError: a line was changed, is missing between others, or is none.
    """
    path = folder / LOG
    found: list[tuple[Deletion, str]] = []
    for line in read_lines(path, _WHAT) if path.exists() else ():
        where = f"{path}:{line.number}"
        if not line.is_whole:
            break  # a crash left it; what it would have named was not deleted
        entry = parse_json(line.content, where, _WHAT)
        number, previous = len(found) + 1, found[-1][1] if found else ""
        if not isinstance(entry, dict) or not _is_deletion(entry) or entry["number"] != number:
            raise ConfigError(expected(where, f"line {number} of {_WHAT}", "another one"))
        body = {name: value for name, value in entry.items() if name not in ("previous", "hash")}
        if chained(body, previous) != entry:
            raise ConfigError(expected(where, "a line that follows the one before it, as it was written", "another"))
        found.append((Deletion(**{f.name: entry[f.name] for f in fields(Deletion)}), entry["hash"]))
    return found


def found_gone(folder: Path, what: str) -> str:
    """What is found in the place of something that is not there: since when, if the log says that it was deleted.

    Args:
        folder: of the log.
        what: path in it, as the log has it; a folder ends with /.

    Raises:
        ConfigError: the log was changed.
    """
    days = [line.at[:10] for line, _ in read_log(folder) if line.what == what]
    return f"none: deleted on {days[-1]}, as {LOG} says" if days else "none"


def _drop_half_a_line(file: IO[bytes]) -> None:
    """What a crash left after the last whole line."""
    file.seek(0)
    content = file.read()
    file.truncate(content.rfind(b"\n") + 1)


def _is_deletion(entry: dict[str, Any]) -> bool:
    if entry.keys() != {"number", "previous", "hash", *_KINDS}:
        return False
    for name, kinds in _KINDS.items():
        value = entry[name]
        if not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds):
            return False
    try:
        datetime.fromisoformat(entry["at"])
    except ValueError:
        return False
    return type(entry["number"]) is int
