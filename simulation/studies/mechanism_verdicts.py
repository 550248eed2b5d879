"""Which mechanism is shown to reach more recall than which, and whether theory expects it.

Two recalls are called different if the 95 % interval of their difference leaves out 0: with several seeds the
t-interval of the differences seed by seed, since what a seed changes, it changes for all; with one seed the bootstrap
over the people whom both runs held out. Only runs that kept no counts of those people have a stated threshold instead.
"""

import itertools
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from client_model.metrics.intervals import Interval, difference_over_people, over_people, why_so_wide
from client_model.metrics.intervals import over_seeds as mean_over_seeds
from client_model.metrics.keyboard_metrics import TOP1_RECALL
from server_strategy.privacy.mechanisms.door import private_mechanisms

if TYPE_CHECKING:
    from server_strategy.pooled_evaluation import PhoneCounts

RECALL = TOP1_RECALL  # that the mechanisms are ordered by
_AS_GOOD_AS_EQUAL = 0.002  # of recall, where there is no interval: so much one run moves from one to the next
_CLEARLY_MORE_NOISE = 1.1  # times as much; less than that, recall cannot tell


@dataclass(frozen=True)
class Outcome:
    """What one finished run reached, and at what cost; or several that differ in their seeds, on average."""

    mechanism: str
    epsilon: float | None  # asked for; None, as all below up to the recall, without privacy
    spent_epsilon: float | None
    rho: float | None
    noise_multiplier: float | None
    noise_in_model: float | None  # rms over rounds of the deviation in the sum of mean updates, in clip norms
    recall: float  # mean of the last evaluations
    recall_by_seed: Mapping[int, float]  # that the recall is the mean of
    held_out: Mapping[str, Any]  # the last evaluation, metrics by name
    curve: list[tuple[int, float]]  # (round, recall)
    wall_seconds: float
    seeds: tuple[int, ...]
    noise_source: str | None = None  # "secret" or "seeded"; None without privacy
    phones: "PhoneCounts | None" = field(default=None, compare=False, repr=False)
    """Of one run: what its last evaluation counted on each held-out person."""

    @property
    def interval(self) -> Interval | None:
        """Of the recall: over its seeds, or of one run over the people held out, at its last evaluation."""
        if len(self.recall_by_seed) > 1:
            return mean_over_seeds(list(self.recall_by_seed.values()))
        return None if self.phones is None else over_people(RECALL, self.phones.counts)


def over_seeds(outcomes: list[Outcome]) -> list[Outcome]:
    """One outcome per mechanism and epsilon, in the order in which the first of each came."""
    cases: dict[tuple[str, float | None], list[Outcome]] = {}
    for one in outcomes:
        cases.setdefault((one.mechanism, one.epsilon), []).append(one)
    return [_mean(runs) for runs in cases.values()]


def _mean(runs: list[Outcome]) -> Outcome:
    """What several runs of one case reached on average; what they cost in privacy is the same for all."""
    first = runs[0]
    if len(runs) == 1:
        return first
    held_out = {name: _mean_of([one.held_out.get(name) for one in runs]) for name in first.held_out}
    rounds = [release for release, _ in first.curve if all(release in dict(one.curve) for one in runs)]
    return replace(
        first,
        recall=float(np.mean([one.recall for one in runs])),
        recall_by_seed={seed: recall for one in runs for seed, recall in one.recall_by_seed.items()},
        held_out=held_out,
        curve=[(release, float(np.mean([dict(one.curve)[release] for one in runs]))) for release in rounds],
        wall_seconds=sum(one.wall_seconds for one in runs),
        seeds=tuple(seed for one in runs for seed in one.seeds),
        phones=None,
    )


def _mean_of(values: list[Any]) -> float | None:
    """None where a run has none, and for rows, which have no mean."""
    return float(np.mean(values)) if all(isinstance(value, int | float) for value in values) else None


def verdicts(outcomes: list[Outcome]) -> list[str]:
    """For each epsilon the order that came out, and whether it contradicts the expected one."""
    best = next((one for one in outcomes if one.epsilon is None), None)
    lines = []
    for epsilon in sorted({one.epsilon for one in outcomes if one.epsilon is not None}):
        own = [one for one in outcomes if one.epsilon == epsilon]
        if best is None or len(own) < len(private_mechanisms()):
            continue
        by_noise = sorted([best, *own], key=_noise_of)
        contradicted = [
            f"{worse.mechanism} above {better.mechanism}"
            for better, worse in itertools.combinations(by_noise, 2)
            if _noise_of(worse) > _CLEARLY_MORE_NOISE * _noise_of(better) and is_above(worse, better)
        ]
        verdict = "as expected" if not contradicted else f"NOT as expected: {', '.join(contradicted)}"
        lines.append(f"epsilon {epsilon:g}: {_in_order(by_noise)}: {verdict}")
    return lines


def _noise_of(one: Outcome) -> float:
    """In the model; 0 without privacy."""
    return one.noise_in_model or 0.0


def _in_order(outcomes: list[Outcome]) -> str:
    """ "gaussian < tree ~ banded ~ blt, but tree < blt", by recall: `~` says nothing of any but its neighbours."""
    ordered = sorted(outcomes, key=lambda one: (one.recall, -_noise_of(one)))
    links = [is_above(one, before) for before, one in itertools.pairwise(ordered)]
    text = ordered[0].mechanism
    for one, shown in zip(ordered[1:], links, strict=True):
        text += f" {'<' if shown else '~'} {one.mechanism}"
    further = [
        f"{ordered[low].mechanism} < {ordered[high].mechanism}"
        for low, high in itertools.combinations(range(len(ordered)), 2)
        if not any(links[low:high]) and is_above(ordered[high], ordered[low])
    ]
    return text + (f", but {', '.join(further)}" if further else "")


def is_above(one: Outcome, other: Outcome) -> bool:
    """Whether the recall of one is shown to be above that of the other.

    Args:
        one, other: of any mechanism and epsilon.
    """
    between = difference_of(one, other)
    if between is None or between.low is None:
        return one.recall > other.recall + _AS_GOOD_AS_EQUAL
    return between.low > 0


def difference_of(one: Outcome, other: Outcome) -> Interval | None:
    """The recall of one less that of the other, with its 95 % interval; None where there is nothing to make one of.

    Args:
        one, other: over the seeds that both have, seed by seed; if that is one seed, of one run each, over the people
            whom both held out, at the last evaluation.
    """
    over = _told_over(one, other)
    if over == "seeds":
        own, theirs = one.recall_by_seed, other.recall_by_seed
        return mean_over_seeds([own[seed] - theirs[seed] for seed in own if seed in theirs])
    if over is None or one.phones is None or other.phones is None:
        return None
    return difference_over_people(RECALL, one.phones.counts, other.phones.counts)


def _told_over(one: Outcome, other: Outcome) -> str | None:
    """What an interval of their difference can be taken over: "seeds", "people", or None."""
    common = one.recall_by_seed.keys() & other.recall_by_seed.keys()
    if len(common) > 1:
        return "seeds"
    if not common or one.phones is None or other.phones is None:
        return None
    return "people" if np.array_equal(one.phones.phones, other.phones.phones) else None


def how_differences_are_told(outcomes: list[Outcome]) -> list[str]:
    """What stands behind each ±, < and ~, in words."""
    lines = []
    over = {one.interval.over for one in outcomes if one.interval is not None}
    if over:
        of_whom = {"seeds": "over the seeds", "people": "over the people held out, at the last evaluation"}
        kinds = " or ".join(of_whom[name] for name in sorted(over, reverse=True))
        lines.append(f"recall: ± half of the 95 % interval {kinds}")
    if any(one.interval is not None and one.interval.over == "seeds" and one.interval.number == 2 for one in outcomes):
        lines.append(f"  it is {why_so_wide(2)}")
    told = {_told_over(one, other) for one, other in itertools.combinations(outcomes, 2)}
    ways = {
        "seeds": "the 95 % t-interval of the differences seed by seed leaves out 0",
        "people": "the 95 % bootstrap interval of the difference over the people that both held out leaves out 0",
        None: f"without such an interval, they differ by more than {100 * _AS_GOOD_AS_EQUAL:g} points",
    }
    if told:
        named = "; ".join(way for over_what, way in ways.items() if over_what in told)
        lines.append(f"a < b: {named}. a ~ b: none shown. Each sign is of its two neighbours alone")
    return lines
