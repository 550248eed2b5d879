"""How far groups of people lie apart in a metric, with an interval that holds although the groups are chosen by it.

The best and the worst of several groups lie apart by chance alone, and an interval of their difference that forgets
how they were chosen is too narrow. So the differences of all pairs get intervals that hold at the same time: people are
drawn within each group (percentile bootstrap of `intervals`), and the largest deviation of any pair, in its own
standard errors, says how many of them each interval takes (max-t; Westfall and Young, Resampling-Based Multiple
Testing, 1993, chapter 2). The true gap, which is the largest true difference, lies between the largest of their low
ends and the largest of their high ends wherever all of them hold.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from client_model.keyed_random import generator
from client_model.metrics.intervals import CONFIDENCE, PhoneColumns
from client_model.metrics.metric import Metric
from client_model.metrics.table import value_of

LEAST_PEOPLE = 10  # of a group; the spread of fewer is not known well enough
_DRAWS = 1_000


class Spread(NamedTuple):
    """The largest of several differences, with its interval."""

    value: float
    low: float
    high: float
    place: int  # of the largest among the differences


class DrawnGroup(NamedTuple):
    """A metric of a group of people, and of people drawn from it."""

    name: str
    people: int
    value: float
    drawn: NDArray[np.float64]  # [draws]


def draw_groups(
    metric: Metric, counts: PhoneColumns, member: NDArray[np.int64], names: Sequence[str], seed: int
) -> tuple[DrawnGroup, list[DrawnGroup]]:
    """(all people, the groups of enough people) in a metric, with draws in which each group keeps its size.

    Args:
        metric: whose value is a number.
        counts: of each person, [people] or [people, n].
        member: int64 [people], index into the names.
        names: of the groups.
        seed: of the draws.

    Returns:
        All people, those of small groups among them; of the groups those of `LEAST_PEOPLE` or more that have a value
        in every draw.
    """
    counted = {name: np.asarray(counts[name]) for name in metric.counts}
    everybody = {name: np.zeros((_DRAWS, *values.shape[1:]), values.dtype) for name, values in counted.items()}
    groups = []
    for number, name in enumerate(names):
        own = {column: values[member == number] for column, values in counted.items()}
        people = int((member == number).sum())
        if not people:
            continue
        rng = generator(seed, f"people drawn within groups: {names}", number)
        weights = rng.multinomial(people, np.full(people, 1 / people), _DRAWS)  # int64 [draws, people of the group]
        sums = {column: weights @ values for column, values in own.items()}  # [draws] or [draws, n]
        everybody = {column: everybody[column] + drawn for column, drawn in sums.items()}
        value, drawn = value_of(metric, {c: values.sum(0) for c, values in own.items()}), _values(metric, sums)
        if people >= LEAST_PEOPLE and value is not None and np.isfinite(drawn).all():
            groups.append(DrawnGroup(name, people, float(value), drawn))
    value = value_of(metric, {column: values.sum(0) for column, values in counted.items()})
    whole = np.nan if value is None else float(value)
    return DrawnGroup("all", len(member), whole, _values(metric, everybody)), groups


def _values(metric: Metric, sums: Mapping[str, NDArray[Any]]) -> NDArray[np.float64]:
    """float64 [draws]: the metric of each, NaN where it has none."""
    found = [value_of(metric, {name: column[i] for name, column in sums.items()}) for i in range(_DRAWS)]
    return np.array([np.nan if value is None else value for value in found], np.float64)


def largest_difference(
    observed: NDArray[np.float64], drawn: NDArray[np.float64], confidence: float = CONFIDENCE
) -> Spread:
    """The largest of some differences, with an interval that holds whichever of them is the largest; see the module.

    Args:
        observed: float64 [differences].
        drawn: float64 [draws, differences], the same of people drawn.
        confidence: of the interval.
    """
    errors = drawn.std(0, ddof=1)  # [differences]
    has_spread = errors > 0
    deviations = np.abs(drawn - observed)[:, has_spread] / errors[has_spread]  # [draws, differences with spread]
    times = float(np.quantile(deviations.max(1), confidence)) if has_spread.any() else 0.0
    place = int(observed.argmax())
    low, high = (observed - times * errors).max(), (observed + times * errors).max()
    return Spread(float(observed[place]), float(low), float(high), place)


def best_to_worst(groups: Sequence[DrawnGroup]) -> tuple[Spread, DrawnGroup, DrawnGroup]:
    """(how far the best group is above the worst, the best, the worst).

    Args:
        groups: two or more, in a metric of which more is better.
    """
    pairs = [(a, b) for a in groups for b in groups if a is not b]
    observed = np.array([a.value - b.value for a, b in pairs])
    spread = largest_difference(observed, np.column_stack([a.drawn - b.drawn for a, b in pairs]))
    best, worst = pairs[spread.place]
    return spread._replace(low=max(spread.low, 0.0)), best, worst


def worst_below(groups: Sequence[tuple[DrawnGroup, DrawnGroup]]) -> tuple[Spread, DrawnGroup]:
    """(how far the worst group is below all people, the worst).

    Args:
        groups: one or more, each with all people drawn together with it.
    """
    observed = np.array([everybody.value - one.value for everybody, one in groups])
    spread = largest_difference(observed, np.column_stack([everybody.drawn - one.drawn for everybody, one in groups]))
    return spread._replace(low=max(spread.low, 0.0)), groups[spread.place][1]
