"""For whom the keyboard is worse: recall and keystrokes saved by group of the people who never train.

A harm without an attacker. Groups are those of the report (device tier, time zone, time eligible), and two of what
people write: how much of it there is, and how much of it is outside the vocabulary, which is how people who write a
rare language, a dialect or a jargon differ from others in every kind of text.
"""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from client_model.metrics.groups import LEAST_PEOPLE, DrawnGroup, best_to_worst, draw_groups, worst_below
from client_model.metrics.intervals import CONFIDENCE
from client_model.metrics.keyboard_metrics import KEYSTROKE_SAVINGS, TOP1_RECALL, words_of_people
from client_model.metrics.metric import Metric
from server_strategy.pooled_evaluation import PhoneCounts
from simulation.run.directory import RunDirectory
from simulation.run.held_out_phones import read_phone_counts
from simulation.studies.audits.attack import Attack, Subject
from simulation.world.participation import Grouping, phone_groups

METRICS: tuple[tuple[str, Metric], ...] = (("recall", TOP1_RECALL), ("keystrokes saved", KEYSTROKE_SAVINGS))
_QUARTERS = ("least", "less", "more", "most")
_POINTS = 100.0  # percentage points of a share
_ATTACKER = "nobody: it is a harm without an attacker"
_SEES = "what was counted on each of the people who never train"
_NO_BOUND = "none: nothing is claimed of groups"


def fairness(subject: Subject) -> Sequence[Attack]:
    """How far groups of people lie apart; see the module.

    Args:
        subject: a finished run.

    Raises:
        InputError: what was counted on held-out people cannot be read.
    """
    if subject.run_dir is None:
        return []
    path = RunDirectory(subject.run_dir).held_out_phones
    if not path.exists():
        why = f"the run has no {path.name}: nobody was measured, or agrees to a record of that"
        return [_unmeasured(name, "all groups", why) for name, _ in METRICS]
    counted = read_phone_counts(path)
    fleet = subject.prepared.fleet
    groupings = [
        Grouping(one.name, one.members, one.member[counted.phones]) for one in phone_groups(fleet, tokens=None)
    ]
    return gaps(counted, [*groupings, *groupings_of_text(*words_of_people(counted.counts))], subject.seed)


def groupings_of_text(words: NDArray[np.int64], lacking: NDArray[np.int64]) -> list[Grouping]:
    """Quarters of people by how much they write, and by how much of it the vocabulary lacks.

    Args:
        words: of each person, int64 [people].
        lacking: those of them that the vocabulary lacks, int64 [people].

    Returns:
        Groupings whose `member` is of the people counted, not of all phones.
    """
    unknown = lacking / np.maximum(words, 1)
    return [
        Grouping("amount of text", tuple(f"{name} text" for name in _QUARTERS), _quarter(words.astype(np.float64))),
        Grouping("unknown words", tuple(f"{name} unknown words" for name in _QUARTERS), _quarter(unknown)),
    ]


def _quarter(values: NDArray[np.float64]) -> NDArray[np.int64]:
    """int64 [people]: 0 to 3; people with the same value are in the same quarter."""
    bounds = np.quantile(values, [0.25, 0.5, 0.75]) if values.size else np.zeros(3)
    return np.searchsorted(bounds, values, "left").astype(np.int64)


def gaps(counted: PhoneCounts, groupings: Sequence[Grouping], seed: int) -> list[Attack]:
    """A figure for each metric and grouping, and one for the worst group of all.

    Args:
        counted: of each person.
        groupings: whose `member` is of these people.
        seed: of the people drawn.
    """
    found: list[Attack] = []
    for name, metric in METRICS:
        every: list[tuple[DrawnGroup, DrawnGroup]] = []
        for grouping in groupings:
            if len(grouping.members) < 2:
                continue
            everybody, groups = draw_groups(metric, counted.counts, grouping.member, grouping.members, seed)
            every += [(everybody, one) for one in groups]
            found.append(_gap(name, grouping, everybody, groups))
        found.append(_worst_of_all(name, every))
    return found


def _gap(name: str, grouping: Grouping, everybody: DrawnGroup, groups: Sequence[DrawnGroup]) -> Attack:
    small = _small(grouping, groups)
    if len(groups) < 2:
        return _unmeasured(name, grouping.name, f"fewer than two groups have {LEAST_PEOPLE} people{small}")
    spread, best, worst = best_to_worst(groups)
    below, lowest = worst_below([(everybody, one) for one in groups])
    why = (
        f"best: {_said(best)}; worst: {_said(worst)}; all {everybody.people:,} people: "
        f"{_POINTS * everybody.value:.1f} %, the worst "
        f"{_interval(below.value, below.low, below.high)} points below{small}"
    )
    return Attack(
        name=f"fairness: {name}, {grouping.name}",
        attacker=_ATTACKER,
        sees=_SEES,
        assumes=f"people are drawn at random within their group; groups of fewer than {LEAST_PEOPLE} are left out",
        quantity=f"{name}, best group less worst, percentage points",
        value=_POINTS * spread.value,
        low=_POINTS * spread.low,
        high=_POINTS * spread.high,
        confidence=CONFIDENCE,
        bound_is=_NO_BOUND,
        why=why,
        details={
            "groups": [{"group": one.name, "people": one.people, "value": one.value} for one in groups],
            "all_people": everybody.value,
            "worst_below_all": {"group": lowest.name, "value": below.value, "low": below.low, "high": below.high},
        },
    )


def _worst_of_all(name: str, every: Sequence[tuple[DrawnGroup, DrawnGroup]]) -> Attack:
    if not every:
        return _unmeasured(name, "worst group below all", f"no group has {LEAST_PEOPLE} people")
    spread, worst = worst_below(every)
    return Attack(
        name=f"fairness: {name}, worst group below all",
        attacker=_ATTACKER,
        sees=_SEES,
        assumes="people are drawn at random within their group; the interval holds for all groups together",
        quantity=f"{name}, all people less the worst group, percentage points",
        value=_POINTS * spread.value,
        low=_POINTS * spread.low,
        high=_POINTS * spread.high,
        confidence=CONFIDENCE,
        bound_is=_NO_BOUND,
        why=f"worst: {_said(worst)}, of {len(every)} groups",
    )


def _said(one: DrawnGroup) -> str:
    return f"{one.name} ({one.people:,} people), {_POINTS * one.value:.1f} %"


def _interval(value: float, low: float, high: float) -> str:
    return f"{_POINTS * value:.1f} ({_POINTS * low:.1f} to {_POINTS * high:.1f})"


def _small(grouping: Grouping, groups: Sequence[DrawnGroup]) -> str:
    left = [f"{name} ({people})" for name, people in _left_out(grouping, groups)]
    return f"; too few people to compare: {', '.join(left)}" if left else ""


def _left_out(grouping: Grouping, groups: Sequence[DrawnGroup]) -> Iterator[tuple[str, int]]:
    people = np.bincount(grouping.member, minlength=len(grouping.members)).tolist()
    kept = {one.name for one in groups}
    yield from ((name, number) for name, number in zip(grouping.members, people, strict=True) if name not in kept)


def _unmeasured(name: str, grouping: str, why: str) -> Attack:
    return Attack(
        name=f"fairness: {name}, {grouping}",
        attacker=_ATTACKER,
        sees=_SEES,
        assumes="nothing: there was nothing to compare",
        quantity=f"{name}, best group less worst, percentage points",
        value=None,
        bound_is=_NO_BOUND,
        why=why,
    )
