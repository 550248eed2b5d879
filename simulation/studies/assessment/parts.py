"""What an assessment is made of: figures with the file that each is from, safeguards, risks, decisions, provisions."""

from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple, TypeAlias

Value: TypeAlias = str | int | float | bool | None


NOT_SET = "not set"


class Figure(NamedTuple):
    """A value of the run, and where it stands."""

    name: str
    value: Value  # None: `why` says why there is none
    unit: str  # empty: it has none
    source: str  # file of the run, and key in it
    why: str | None = None


class State(StrEnum):
    """Whether a safeguard was there."""

    ON = "on"
    OFF = "off"
    UNKNOWN = "unknown"


def state_of(is_on: bool) -> State:
    """Whether it was there, where that is known."""
    return State.ON if is_on else State.OFF


@dataclass(frozen=True, kw_only=True)
class Safeguard:
    """Something that protects the people whose phones these are.

    Attributes:
        id: one word, stable over versions.
        name: for people.
        state: whether the run had it.
        risk: id of the risk that it lowers.
        covers: what it is good for, and what it leaves.
        figures: its measured strength; none where it was not there.
        why: it is off or unknown, or what it does not have though it is on; None: there is nothing to add.
        shown_by: the command or file that shows it.
    """

    id: str
    name: str
    state: State
    risk: str
    covers: str
    figures: tuple[Figure, ...] = ()
    why: str | None = None
    shown_by: str = ""


class Level(NamedTuple):
    """A level of likelihood or of severity, and why it is that."""

    level: int  # from 1 to 4
    because: str


@dataclass(frozen=True, kw_only=True)
class Risk:
    """What may still happen to people.

    Attributes:
        id: one word, stable over versions.
        name: what happens, to whom.
        about: REAL_PHONES or THIS_MACHINE: what the settings would mean, or what lies here.
        likelihood, severity: on the stated scale, with all safeguards that there are.
        absent: ids of safeguards that would lower it and are not there, or are not known to be.
    """

    id: str
    name: str
    about: str
    likelihood: Level
    severity: Level
    absent: tuple[str, ...] = ()

    @property
    def score(self) -> int:
        """Likelihood times severity, from 1 to 16."""
        return self.likelihood.level * self.severity.level


REAL_PHONES, THIS_MACHINE = "real phones under these settings", "the files on this machine"


class Decision(NamedTuple):
    """What a person has to decide, and no run can."""

    id: str
    question: str
    by: str  # whose it is to decide
    known: str  # what of the run bears on it
    provisions: tuple[str, ...]  # of which table rows


class Answer(StrEnum):
    """How far a run answers a provision."""

    IN_PART = "in part"
    BY_A_COMMAND = "by a command alone"  # nothing that the run left speaks to it
    NOT = "not answered by this run"


class Provision(NamedTuple):
    """A provision of a law, and what of the run speaks to it."""

    law: str
    number: str
    about: str  # in our words
    answer: Answer
    where: tuple[str, ...]  # files of the run, and commands
    left: str  # what it leaves open


class Row(NamedTuple):
    """A kind of thing and what is said of it, in the record of processing."""

    name: str
    said: str
    figures: tuple[Figure, ...] = ()


class Kept(NamedTuple):
    """Something on this machine's disk."""

    what: str  # row of `simulation.run.artefacts`
    holds: str
    tells: str  # the worst that the guarantee says of it
    files: int
    bytes: int
    encrypted: bool  # all of it
    category: str | None  # of a retention policy; None: it always stays
    age_days: float
    keep_days: float | None  # None: no policy names it
    is_over: bool  # it has been kept for longer than that
