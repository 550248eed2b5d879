"""The lives of a run that forgets phones: told apart by its ledger, and bound to the record that began them.

Where a run goes on without phones, its checkpoints and the line of its ledger name the record of these phones as it was
then: how many lines it had, and the hash of the last. A record that does not go on from there would let phones in
again, so that the run is not opened with it.

Noise that is keyed by the seed is another one in each life. A run may go back a second time for the same request, since
its later checkpoints were damaged, and then it sums other phones: that life has a number of its own as well.
"""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from server_strategy.privacy.ledger_lines import Record, goes_back, read_ledger
from simulation.run.forgotten import FILE, Request
from typefleet.errors import ConfigError, expected

_COUNT = re.compile(r"[0-9]{1,9}")
LIFE = "life"  # among what a run began with: how often it had been told to forget phones
_NOISE_LIFE = "noise_life"  # the number of its life in the key of its noise
_WENT_BACK = "went_back"  # how often its ledger says that it went back


def life_of(began: Mapping[str, Any]) -> int:
    """How often a run had been told to forget phones, by what its checkpoint says it began with."""
    return int(began.get(LIFE, "0"))


def noise_life_of(began: Mapping[str, Any]) -> int:
    """The number of its life in the key of its noise."""
    return int(began.get(_NOISE_LIFE, life_of(began)))


def noise_life(entries: Sequence[Mapping[str, Any]], life: int) -> int:
    """The number in the key of the noise of a life that begins, which no life with a line in the ledger has.

    A line that says that the run went back, with nothing after it, is of a life that has yet to make its noise: one
    that was killed then has the same number when it begins again.

    Args:
        entries: of the ledger.
        life: how often the run was told to forget.
    """
    made = max((line for line, entry in enumerate(entries) if not goes_back(entry)), default=0)
    return life + sum(map(goes_back, entries[:made]))


def times_back(entries: Sequence[Mapping[str, Any]]) -> int:
    """How often a ledger says that its run went back."""
    return sum(map(goes_back, entries))


def begins_life(began: Mapping[str, Any], life: int, entries: Sequence[Mapping[str, Any]]) -> bool:
    """Whether a checkpoint is of a life before the one that the run is told to live, or that its ledger tells of."""
    return life_of(began) < life or int(began.get(_WENT_BACK, "0")) < times_back(entries)


def about_life(life: int, noise: int) -> dict[str, str]:
    """What a run that was told to forget says of its life among what it began with; nothing of the first one."""
    return {LIFE: str(life), _NOISE_LIFE: str(noise)} if life or noise else {}


def about_record(requests: Sequence[Request]) -> dict[str, str]:
    """What it says of the record that it goes by; nothing where there is none."""
    return {name: str(value) for name, value in record_of(requests)._asdict().items()} if requests else {}


def about_going_back(entries: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """What it says once its ledger says that it went back."""
    return {_WENT_BACK: str(times_back(entries))}


def record_of(requests: Sequence[Request]) -> Record:
    """How the record stands that these requests, all of them, are of."""
    return Record(len(requests), requests[-1].sha256 if requests else "")


def record_named(names: Mapping[str, Any]) -> Record | None:
    """The record that a checkpoint, a line of a ledger or a statement names; None if it names none.

    Args:
        names: what they say.
    """
    lines, digest = (str(names.get(name)) for name in Record._fields)
    return Record(int(lines), digest) if _COUNT.fullmatch(lines) else None


def goes_on_from(requests: Sequence[Request], named: Record | None) -> bool:
    """Whether a record is the one that is named, or has lines more.

    Args:
        requests: all of the record.
        named: by `record_named`.
    """
    return named is None or (
        1 <= named.record_lines <= len(requests) and requests[named.record_lines - 1].sha256 == named.record_sha256
    )


def require_record(root: Path, requests: Sequence[Request], names: Sequence[Mapping[str, Any]]) -> None:
    """Refuse to open a run with another record of phones to forget than it went on by.

    Args:
        root: its folder.
        requests: of its record now.
        names: what may name the record: what its newest checkpoint began with, and the lines of its ledger.

    Raises:
        ConfigError: the record is gone, has fewer lines, or is another one.
    """
    for named in map(record_named, names):
        if named is not None and not goes_on_from(requests, named):
            what = f"the record of phones to forget that the run went on by, with {named.record_lines} or more lines"
            found = f"one of {len(requests)}" if 0 < len(requests) < named.record_lines else "another one"
            raise ConfigError(expected(root / FILE, what, found if requests else "none"))


def ledger_entries(path: Path) -> list[dict[str, Any]]:
    """The lines of a ledger; none where there is no ledger.

    Raises:
        LedgerError: it was changed.
    """
    return read_ledger(path)[0] if path.exists() else []
