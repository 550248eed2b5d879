"""Which phones a run has forgotten, or is to forget: `forgotten.jsonl` in its folder, append-only and hash-chained.

A line is on disk before anything is done about it, and from then on no process lets these phones into the run again:
whoever opens the run reads the file first (`accepted_input`), and goes back to before they came (`going_back`). A run
that starts from the weights of such a run takes its lines over.

A phone is named by a label: a digest of its user id, keyed by a salt of the line. So the file says who was forgotten to
nobody but those who have it and try user ids; it is as private as the text.
"""

import re
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TextIO

import numpy as np
from numpy.typing import NDArray

from client_model.text.population import PopulationSpec, phone_labels, phones_with_text_of
from simulation.files import read_json_object
from typefleet.chained_log import ChainedLog
from typefleet.errors import ConfigError, expected, printable

FILE = "forgotten.jsonl"
_SALT, _LABEL = re.compile(r"[0-9a-f]{32}"), re.compile(r"[0-9a-f]{16}")
_NAMES = {"at", "salt", "phones", "taken_over"}
_PENDING = "one that has yet to go back to before they came: go on with it (simulate.py --resume)"


def _is_request(says: Mapping[str, Any]) -> bool:
    if says.keys() != _NAMES or type(says["taken_over"]) is not bool or not isinstance(says["phones"], list):
        return False
    texts = (says["at"], says["salt"], *says["phones"])
    if not all(isinstance(text, str) for text in texts) or not says["phones"]:
        return False
    try:
        datetime.fromisoformat(says["at"])
    except ValueError:
        return False
    return bool(_SALT.fullmatch(says["salt"])) and all(map(_LABEL.fullmatch, says["phones"]))


_FORM = ChainedLog(FILE, "the record of phones to forget", _is_request)


@dataclass(frozen=True)
class Request:
    """A line: phones that are to be forgotten from then on.

    Attributes:
        at: when, in UTC, as ISO 8601.
        salt: of the labels, 32 hexadecimal digits.
        phones: their labels, 16 hexadecimal digits each.
        taken_over: from the run whose weights this one starts from.
        sha256: hash of its line; empty before it is on record.
    """

    at: str
    salt: str
    phones: tuple[str, ...]
    taken_over: bool = False
    sha256: str = field(default="", compare=False)

    @staticmethod
    def of(digests: NDArray[np.uint64]) -> "Request":
        """To forget these phones, now.

        Args:
            digests: uint64 [phones], of their user ids.
        """
        salt = secrets.token_hex(16)
        at = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%S+00:00}"
        return Request(at, salt, tuple(sorted(phone_labels(salt, digests))))

    def rows(self, digests: NDArray[np.uint64]) -> NDArray[np.int64]:
        """Which phones of a fleet it names, sorted.

        Args:
            digests: uint64 [phones], of all of them.
        """
        named = set(self.phones)
        return np.array([row for row, label in enumerate(phone_labels(self.salt, digests)) if label in named], np.int64)


@dataclass(frozen=True)
class Forgotten:
    """The phones that a run is without for good.

    Attributes:
        phones: int64, sorted; with those that hold messages drawn from theirs.
        requests: that name them.
        life: how often the run was told to forget; its noise is another one in each of these lives.
    """

    phones: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    requests: tuple[Request, ...] = ()

    @property
    def life(self) -> int:
        """0 for a run that was never told to."""
        return sum(not one.taken_over for one in self.requests)


NOBODY = Forgotten()


def read_requests(root: Path) -> tuple[Request, ...]:
    """Every line of a run's record; none where there is none.

    Raises:
        ConfigError: a line was changed, is missing between others, or is none.
    """
    lines = _FORM.read(root).lines
    return tuple(Request(**{**line.says, "phones": tuple(line.says["phones"])}, sha256=line.hash) for line in lines)


def record_request(root: Path, request: Request) -> None:
    """Put on record, durably, that phones are to be forgotten.

    Raises:
        ConfigError: the record was changed, or cannot be written.
    """
    says = {"at": request.at, "salt": request.salt, "phones": list(request.phones), "taken_over": request.taken_over}
    _FORM.append(root, says)


def take_over(root: Path, requests: Sequence[Request]) -> None:
    """Let a run that begins be without the phones that the run it starts from has forgotten.

    Raises:
        ConfigError: the record cannot be written.
    """
    known = {one.salt for one in read_requests(root)}  # of one that was killed when it began
    for one in requests:
        if one.salt not in known:
            record_request(root, Request(one.at, one.salt, one.phones, taken_over=True))


def forgotten_by(requests: Sequence[Request], spec: PopulationSpec, digests: NDArray[np.uint64]) -> Forgotten:
    """The phones of a population that requests name.

    Args:
        requests: of a run.
        spec: of the population.
        digests: uint64 [phones], of its user ids.
    """
    if not requests:
        return NOBODY
    named = np.unique(np.concatenate([one.rows(digests) for one in requests]))
    return Forgotten(phones_with_text_of(spec, named), tuple(requests))


def require_nothing_pending(root: Path, what: str) -> None:
    """Refuse the model of a run that was told to forget phones and has yet to go back.

    Args:
        root: folder of the run, or of weights alone.
        what: would be done with it, as the message begins.

    Raises:
        ConfigError: the model may still have these phones in it, or the record was changed.
    """
    if is_pending(root):
        raise ConfigError(expected(f"{what}: {root}", "a run without the phones that it was told to forget", _PENDING))


def note_pending(out: TextIO, root: Path) -> None:
    """Say, where a model is only looked at, that there may be phones in it that it was told to forget.

    Raises:
        ConfigError: the record was changed.
    """
    if is_pending(root):
        print(f"note: {printable(str(root))} was told to forget phones, and is {_PENDING}", file=out)


def is_pending(root: Path) -> bool:
    """Whether a run was told to forget phones that its model may still have in it.

    Args:
        root: folder of the run, or of weights alone.

    Raises:
        ConfigError: the record was changed, or there is no statement that could tell.
    """
    life = Forgotten(requests=read_requests(root)).life
    if not life:
        return False
    return not is_told(read_json_object(root / "privacy.json", "the privacy statement of a run"), life)


def is_told(statement: Mapping[str, Any] | None, life: int) -> bool:
    """Whether a statement says that its run has forgotten as often as it was told to.

    Args:
        statement: content of privacy.json; None: there is none.
        life: see `Forgotten`.
    """
    facts = None if statement is None else statement.get("facts")
    told = facts.get("forgotten") if isinstance(facts, dict) else None
    return isinstance(told, dict) and told.get("times") == life
