"""The figures of groups of runs with their intervals, and the differences between groups with theirs.

A group of two seeds or more has Student's t-interval over its seeds; one of a single run the bootstrap over its
held-out people. A difference is taken between what belongs together, if anything does: seed by seed, or on one seed
phone by phone; otherwise between the means, with Welch's interval.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from client_model.metrics.intervals import (
    Interval,
    difference_between_seeds,
    difference_over_people,
    over_people,
    over_seeds,
)
from client_model.metrics.keyboard_metrics import OOV_RATE, PERPLEXITY, num_tokens, word_positions
from client_model.metrics.metric import Metric
from simulation.studies.comparing.groups import AFTER_THE_ROUNDS, RunGroup
from simulation.studies.comparing.reading import SEED, ComparedRun
from typefleet.errors import ConfigError

_SAME_PEOPLE = ("data.", "evaluation.")  # sections that decide who is held out and what is read of them
_NOT_WHO = ("evaluation.every_rounds", "evaluation.metrics", AFTER_THE_ROUNDS)
# Names of the counts that only the text decides.
_LENGTHS = {
    name
    for metric in (PERPLEXITY, OOV_RATE)
    for name, counter in metric.counts.items()
    if counter in (num_tokens, word_positions)
}
_STANDARD_BASELINES = ("bigram", "trigram")


@dataclass(frozen=True)
class Measured:
    """A metric of a group; `interval` is None, or has no bounds, where `why` says why."""

    metric: Metric
    value: float | None
    interval: Interval | None
    why: str
    baselines: Mapping[str, float]  # what counting reaches on the same people, by its name

    @property
    def half_width(self) -> float | None:
        """What stands behind the ±."""
        return None if self.interval is None else self.interval.half_width


@dataclass(frozen=True)
class Difference:
    """A metric of a group minus that of the reference; `interval` is None, or has no bounds, where `why` says why."""

    metric: Metric
    interval: Interval | None
    how: str  # it was taken
    why: str

    @property
    def is_shown(self) -> bool | None:
        """Whether there is one, as far as the interval tells; None without an interval."""
        if self.interval is None or self.interval.low is None:
            return None
        return self.interval.leaves_out_zero


def shared_metrics(groups: Sequence[RunGroup]) -> list[Metric]:
    """Every metric whose value is a number, of all the runs; in the order in which tables show them."""
    found: dict[str, Metric] = {}
    for group in groups:
        for run in group.runs:
            found |= {m.name: m for m in run.metrics.metrics if m.unit != "rows" and m.name not in found}
    return list(found.values())


def measured(group: RunGroup, metric: Metric) -> Measured:
    """What a group reaches, with its interval.

    Args:
        group: of runs.
        metric: whose value is a number.
    """
    reached = values_by_seed(group, lambda run: run.summary.held_out.get(metric.name))
    baselines = {one.name: _mean_baseline(group, one.key) for one in metric.baselines}
    known = {name: value for name, value in baselines.items() if value is not None}
    if not reached:
        return Measured(metric, None, None, "not measured", known)
    values = list(reached.values())
    if len(values) > 1:
        over = over_seeds(values)
        return Measured(metric, over.mean, over, over.why, known)
    interval, why = _over_people(group, metric)
    return Measured(metric, values[0], interval, why, known)


def _over_people(group: RunGroup, metric: Metric) -> tuple[Interval | None, str]:
    """Of a group of one seed."""
    if len(group.runs) > 1:
        return None, "one seed, and several runs of it"
    (run,) = group.runs
    if run.held_out is None:
        return None, f"one seed, and {run.why_no_held_out}"
    try:
        interval = over_people(metric, run.held_out.counts)
    except ConfigError as error:  # of somebody's own metric; its value is there all the same
        return None, str(error)
    if interval is None or interval.low is None:
        return interval, "too few people held out, or no counts of this metric"
    return interval, ""


def values_by_seed(group: RunGroup, value_of: Callable[[ComparedRun], Any]) -> dict[int, float]:
    """One value per seed that has one, sorted by seed: the mean over the runs of that seed.

    Args:
        group: of runs.
        value_of: what a run has; None if it has no such value.
    """
    found = {}
    for seed in sorted(group.by_seed):
        values = [value for value in map(value_of, group.by_seed[seed]) if value is not None]
        if values:
            found[seed] = float(np.mean(values))
    return found


def _mean_baseline(group: RunGroup, key: str) -> float | None:
    values = values_by_seed(group, lambda run: run.summary.reached_by(key))
    return float(np.mean(list(values.values()))) if values else None


def standard_baselines(found: Measured) -> dict[str, float]:
    """Those that stand beside every figure: what pairs and triples of words reach."""
    return {name: value for name, value in found.baselines.items() if name in _STANDARD_BASELINES}


def difference(group: RunGroup, reference: RunGroup, metric: Metric) -> Difference:
    """`group` minus `reference`, paired as far as they belong together.

    Args:
        group, reference: of runs.
        metric: whose value is a number.
    """
    own, other = (values_by_seed(g, lambda run: run.summary.held_out.get(metric.name)) for g in (group, reference))
    common = sorted(own.keys() & other.keys())
    if len(common) > 1:
        interval = over_seeds([own[seed] - other[seed] for seed in common])
        return Difference(metric, interval, f"paired by seed ({_and(common)})", interval.why)
    if not own or not other:
        return Difference(metric, None, "", "not measured")
    alone = Difference(metric, None, "", "no seed in common, and fewer than two seeds in one of them")
    between = difference_between_seeds(list(own.values()), list(other.values()))
    if between is None:  # one of them has one seed: what the people of that seed show is not what other seeds would
        return _paired_by_phone(group, reference, metric, common[0]) if len(own) == len(other) == len(common) else alone
    how = f"unpaired (Welch; {len(other)} seeds of the reference and {len(own)})"
    return Difference(metric, between, how, between.why)


def _paired_by_phone(group: RunGroup, reference: RunGroup, metric: Metric, seed: int) -> Difference:
    """On the one seed that both have."""
    some, others = group.by_seed[seed], reference.by_seed[seed]
    if len(some) > 1 or len(others) > 1:
        return Difference(metric, None, "", f"one seed in common ({seed}), and several runs of it")
    run, other = some[0], others[0]
    why = why_not_the_same_phones(run, other)
    if why or run.held_out is None or other.held_out is None:
        return Difference(metric, None, "", f"one seed in common ({seed}), and {why}")
    try:
        interval = difference_over_people(metric, run.held_out.counts, other.held_out.counts)
    except ConfigError as error:
        return Difference(metric, None, "", str(error))
    if interval is None or interval.low is None:
        return Difference(metric, interval, "", "too few people held out, or no counts of this metric")
    return Difference(metric, interval, f"paired by phone (seed {seed}, {interval.number:,} people)", "")


def why_not_the_same_phones(run: ComparedRun, other: ComparedRun) -> str:
    """Why two runs cannot be paired by phone; empty if they held the same people's same text out.

    Args:
        run, other: of any settings.
    """
    for one in (run, other):
        if one.held_out is None:
            return f"{one.why_no_held_out} ({one.folder.name})"
    names = {
        name
        for name in (*run.settings, *other.settings)
        if name == SEED or (name.startswith(_SAME_PEOPLE) and name not in _NOT_WHO)
    }
    if any(run.settings.get(name) != other.settings.get(name) for name in names):
        return "other settings of text or evaluation"
    own, theirs = run.held_out, other.held_out
    if own is None or theirs is None or not np.array_equal(own.phones, theirs.phones):
        return "other phones held out"
    there = own.counts.keys() & theirs.counts.keys() >= _LENGTHS
    if not there or any(not np.array_equal(own.counts[name], theirs.counts[name]) for name in _LENGTHS):
        return "other text on the held-out phones"
    return ""


def _and(seeds: Sequence[int]) -> str:
    return f"{len(seeds)} seeds: {' '.join(map(str, seeds))}"
