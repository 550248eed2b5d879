"""What the report says of a run: numbers, and for what is not there the reason."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

from client_model.metrics.intervals import Interval
from client_model.metrics.table import MetricTable
from simulation.config import RunConfig
from simulation.run.records import Summary
from simulation.run.text_use import TextUse


class KeyPress(NamedTuple):
    """How long a file takes to suggest, on one thread of this machine."""

    median_ms: float
    p95_ms: float


@dataclass(frozen=True)
class LeftOut:
    """Stands in the place of what a run does not have."""

    reason: str
    remedy: str = ""  # the command that makes it, if one does


@dataclass(frozen=True)
class ModelFile:
    """A file for phones, as manifest.json has it."""

    name: str
    size_bytes: int
    same_first_word: float  # share of contexts in which it suggests what the trained weights do
    same_three_words: float
    contexts: int
    metrics: Mapping[str, Any]  # by name, on the text that it was checked on
    key_press: KeyPress | None  # None: not measured


@dataclass(frozen=True)
class Group:
    """Phones of one kind, and their part in the training."""

    grouping: str
    group: str
    phones: int
    updates_per_phone: float | None
    share_of_tokens: float | None
    never_used_share: float | None


@dataclass(frozen=True)
class GroupRecall:
    """How good the model is for held-out people of one kind."""

    grouping: str
    group: str
    people: int
    values: Mapping[str, Any]  # metrics by name
    why_no_value: Mapping[str, str]  # by name, of those that failed on this group


class Agreeing(NamedTuple):
    """Numbers of phones by what has become of consent."""

    name: str  # of the purpose, or of the group
    grouping: str  # that the group is of; empty for a purpose
    phones: int
    given: int  # when the run ended
    withdrawn: int
    never_given: int


class RecallByConsent(NamedTuple):
    """How good the model is for people held out, by their consent to train."""

    state: str
    people: int
    measured: int
    values: Mapping[str, Interval | None]  # by metric
    why: str  # there are no values; empty where there are


@dataclass(frozen=True)
class ConsentFacts:
    """Who agrees to what, and who leaves."""

    origin: str
    purposes: Sequence[Agreeing]
    groups: Sequence[Agreeing]
    recalls: Sequence[RecallByConsent]


@dataclass(frozen=True)
class Participation:
    """Who took part."""

    phones: int  # that may train
    most_updates_of_a_phone: int
    never_used_share: float | None
    gini: float | None
    groups: Sequence[Group]
    recalls: Sequence[GroupRecall]  # none where nobody was measured
    consent: ConsentFacts | None = None  # None: everybody agrees to all
    text: TextUse | None = None  # of a fleet too large to read, and of sums alone, there is none


@dataclass(frozen=True)
class Privacy:
    """What privacy.json states."""

    statement: str
    mechanism: str
    epsilon_is_of: str
    noise_source: str | None  # "secret" or "seeded"; None without privacy
    epsilon: float | None  # spent; None: there is no privacy, or nothing was released
    delta: float | None
    zcdp_rho: float | None
    epsilon_exact: float | None
    epsilon_budget: float | None
    modelled_cohort: int | None
    goal: int
    clip_norm: float
    noise_multiplier: float | None
    max_participations: int | None  # that happened
    unit: str
    trust_model: str
    outside_the_budget: Sequence[str]
    caveats: Sequence[str]
    handling: Sequence[str] = ()  # of consent and of what is kept; empty: of an earlier version
    forgotten: str = ""  # of phones that were taken out of the run; empty: none was
    forgotten_on: Sequence[str] = ()  # days, YYYY-MM-DD


@dataclass(frozen=True)
class Central:
    """The same model from the same start, trained in one place on the same people."""

    metrics: Mapping[str, Any]  # by name
    epochs: int


class TypedWord(NamedTuple):
    """A word of a sentence, and what was suggested before it."""

    word: str
    suggested: tuple[str, ...]

    @property
    def place(self) -> int | None:
        """Of the word among the suggestions, from 0; None: it was not among them."""
        return self.suggested.index(self.word) if self.word in self.suggested else None


@dataclass(frozen=True)
class RunFacts:
    """A run, as the page needs it."""

    root: Path
    config: RunConfig
    metrics: MetricTable
    finished: bool  # no round is left to run
    rounds: Sequence[Mapping[str, Any]]  # lines of rounds.jsonl
    summary: Summary
    begun: datetime | None  # UTC; None: the folder does not say
    people: int | None  # who never train and were measured
    intervals: Mapping[str, Interval] | LeftOut  # by metric, over people
    privacy: Privacy | LeftOut
    participation: Participation | LeftOut
    central: Central | LeftOut
    files: Sequence[ModelFile] | LeftOut
    sentences: Sequence[tuple[str, Sequence[TypedWord]]] | LeftOut
    parts: Sequence[str]  # kinds of objects that were handed in from Python, such as `cell`

    @property
    def measured(self) -> list[Mapping[str, Any]]:
        """The rounds after which the held-out people were measured."""
        return [line for line in self.rounds if line.get(self.metrics.metrics[0].name) is not None]
