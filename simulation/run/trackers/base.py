"""What a tracker is told, and what it has to have.

    begin   once, before the first round to come, of a new run or of one that goes on
    round   after the measurement before the first round, which is round 0, and after each round
    end     once all rounds are done
    close   always, at the end or when the run stops before it

A run that was killed goes on from its last checkpoint, so rounds that a tracker has seen may be told again. They are
the same to the bit but for times; a tracker has each of them once.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Protocol

from simulation.run.trackers.config import TrackingConfig
from simulation.run.trackers.door import TRACKERS
from typefleet.doors import Kind
from typefleet.errors import ConfigError, UnknownKindError, expected, said_of

Value = bool | int | float | str


@dataclass(frozen=True)
class TrackedRun:
    """A run that is about to begin or to go on.

    Attributes:
        folder: of the run; what a tracker writes lies in it, unless a setting says otherwise.
        key: 16 hexadecimal digits that stay the same over kills and resumes, and that no other run has.
        settings: all that may change a result, by dotted name; those that are not set are left out.
        told: values of every round so far, by its number; empty for a new run.
        next_round: the number of the round that is told next; rounds from it on may have been told before.
    """

    folder: Path
    key: str
    settings: Mapping[str, Value]
    told: Mapping[int, Mapping[str, float]]
    next_round: int

    @property
    def name(self) -> str:
        """What people call the run."""
        return self.folder.resolve().name


@dataclass(frozen=True)
class Outcome:
    """What a run came to.

    Attributes:
        last_round: number of the last round.
        summary: of summary.json, the numbers and texts, by dotted name.
        figures: PNG files, by tag.
        files: in the run's folder, that say what the run was and what it came to.
    """

    last_round: int
    summary: Mapping[str, Value]
    figures: Mapping[str, bytes]
    files: Sequence[Path]

    @property
    def numbers(self) -> dict[str, float]:
        """Of the summary."""
        return {name: value for name, value in self.summary.items() if not isinstance(value, str | bool)}


class Tracker(Protocol):
    """One program's view of a run."""

    def begin(self, run: TrackedRun) -> None:
        """Open what is written to, and note the settings."""

    def round(self, number: int, values: Mapping[str, float]) -> None:
        """Note the numbers of a round, by tag (`held_out/top1_recall`)."""

    def end(self, outcome: Outcome) -> None:
        """Note what the run came to."""

    def close(self) -> None:
        """Let go of everything, after `end` or, if the run stops before it, without."""


@dataclass(frozen=True)
class TrackerKind(Kind[Tracker]):
    """A kind of tracker; `make(settings)` gives one, and `settings` are a `TrackingConfig`.

    Attributes:
        module: has to be installed, as the extra of the kind's name; empty: nothing has to be.
    """

    module: str = ""


def make_trackers(config: TrackingConfig) -> dict[str, Tracker]:
    """The trackers that a configuration names, by name; nothing is imported or written yet but their own modules.

    Raises:
        ConfigError: one that is unknown, named twice, or not installed.
    """
    setting = "--tracking.trackers"
    made: dict[str, Tracker] = {}
    for name in config.trackers:
        try:
            kind = TRACKERS.kind(name)
        except UnknownKindError as error:
            raise ConfigError(said_of(setting, error)) from error
        if name in made:
            raise ConfigError(expected(setting, "trackers, each once", name))
        if isinstance(kind, TrackerKind) and kind.module and find_spec(kind.module) is None:
            there = f"{name} to be installed (pip install 'typefleet[{name}]')"
            raise ConfigError(expected(setting, there, "it missing"))
        made[name] = TRACKERS.made(kind, config)
    return made
