"""What was deleted of a run or of the cache, when and why: one line each in `deletions.jsonl`, append-only.

The lines hang together as those of every `typefleet.chained_log` do: keep the last hash elsewhere, as a backup of the
file does. A line is on disk before what it names is deleted: after a crash between the two, the next deletion has a
line of its own.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from typefleet.chained_log import ChainedLog

LOG = "deletions.jsonl"


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
    _FORM.append(folder, asdict(deletion))


def read_log(folder: Path) -> list[tuple[Deletion, str]]:
    """Every deletion, with the hash of its line; none where there is no log.

    A last line without its end, which a crash left, is none: what it would have named was not deleted.

    Raises:
        ConfigError: a line was changed, is missing between others, or is none.
    """
    return [(Deletion(**line.says), line.hash) for line in _FORM.read(folder).lines]


def found_gone(folder: Path, what: str) -> str:
    """What is found in the place of something that is not there: since when, if the log says that it was deleted.

    Args:
        folder: of the log.
        what: path in it, as the log has it; a folder ends with /.

    Raises:
        ConfigError: the log was changed.
    """
    day = deleted_on(folder, what)
    return f"none: deleted on {day}, as {LOG} says" if day else "none"


def deleted_on(folder: Path, what: str) -> str | None:
    """The day on which something was deleted, the last one of several; None if the log does not say that it was.

    Args:
        folder: of the log.
        what: path in it, as the log has it; a folder ends with /.

    Raises:
        ConfigError: the log was changed.
    """
    days = [str(datetime.fromisoformat(line.at).date()) for line, _ in read_log(folder) if line.what == what]
    return days[-1] if days else None


def _is_deletion(says: Mapping[str, Any]) -> bool:
    if says.keys() != _KINDS.keys():
        return False
    for name, kinds in _KINDS.items():
        value = says[name]
        if not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds):
            return False
    try:
        datetime.fromisoformat(says["at"])
    except ValueError:
        return False
    return True


_FORM = ChainedLog(LOG, "the log of what was deleted", _is_deletion)
