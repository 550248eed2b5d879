"""How well scores tell members from others: ROC, area, balanced accuracy, true positives at few false ones.

A score is a number of each person, larger for who rather was a member. What matters to a person is not the average but
whether anybody can be named with confidence: true positives at 0.1 and 1 % false ones (Carlini et al. 2022, "Membership
inference attacks from first principles", arXiv:2112.03570, section III). With n others a rate below 1 / n cannot be
measured, and has no value here.

`EpsilonDelta` and `GaussianNoise` say how well any attack can do under differential privacy.

Example:
    >>> import numpy as np
    >>> area_under_roc(np.array([3.0, 2.0]), np.array([1.0, 2.0]))
    0.875
    >>> round(EpsilonDelta(1.0, 1e-6).true_positives(0.01), 4)
    0.0272
"""

from dataclasses import dataclass
from math import exp, sqrt
from typing import Any, Protocol

import numpy as np
import scipy.special
import scipy.stats
from numpy.typing import NDArray

from client_model.keyed_random import generator
from client_model.metrics.intervals import CONFIDENCE, Interval

_RESAMPLES = 2_000
_SEED, _PURPOSE = 0, "bootstrap over members and others"  # the same people are drawn whenever the figure is asked for

Scores = NDArray[np.float64]  # float64, of people: [people]


class Limit(Protocol):
    """What no attack does better than."""

    def true_positives(self, false_positives: float) -> float:
        """The largest true-positive rate at a false-positive rate."""

    @property
    def area(self) -> float:
        """Under the curve of it."""

    @property
    def balanced_accuracy(self) -> float:
        """The largest mean of true positives and true negatives."""


@dataclass(frozen=True)
class EpsilonDelta:
    """Of (epsilon, delta)-differential privacy (Kairouz, Oh and Viswanath 2015, arXiv:1311.0776, theorem 2.1)."""

    epsilon: float
    delta: float

    @property
    def _corner(self) -> float:
        """The false-positive rate at which one line of the limit gives way to the other."""
        return (1 - self.delta) * float(scipy.special.expit(-self.epsilon))

    def true_positives(self, false_positives: float) -> float:
        """min(e^epsilon x + delta, 1 - e^-epsilon (1 - delta - x)), and 1 at most."""
        if false_positives <= self._corner:
            return min(1.0, exp(self.epsilon) * false_positives + self.delta)
        return min(1.0, 1 - exp(-self.epsilon) * (1 - self.delta - false_positives))

    @property
    def area(self) -> float:
        """Of two trapezia, and delta by 1 at the right."""
        x, y = self._corner, 1 - self._corner
        return x * (self.delta + y) / 2 + (1 - self.delta - x) * (y + 1) / 2 + self.delta

    @property
    def balanced_accuracy(self) -> float:
        """At the corner."""
        return 1 - self._corner


@dataclass(frozen=True)
class GaussianNoise:
    """Of mu-Gaussian differential privacy (Dong, Roth and Su 2022, "Gaussian differential privacy", section 2.2)."""

    mu: float

    def true_positives(self, false_positives: float) -> float:
        """Phi(Phi^-1(x) + mu)."""
        return float(scipy.special.ndtr(scipy.special.ndtri(false_positives) + self.mu))

    @property
    def area(self) -> float:
        """That a normal is above another one, mu lower."""
        return float(scipy.special.ndtr(self.mu / sqrt(2)))

    @property
    def balanced_accuracy(self) -> float:
        """With the threshold half way."""
        return float(scipy.special.ndtr(self.mu / 2))


def area_under_roc(members: Scores, others: Scores) -> float:
    """The chance that a member's score is above another's, an equal one counting half (Mann and Whitney's U).

    Args:
        members, others: float64 [people], one or more each.
    """
    below, up_to = _places(members, others)
    return float((below + up_to).mean()) / 2 / len(others)


def _places(members: Scores, others: Scores) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """How many others are below each member, and how many are not above: int [members] each."""
    ordered = np.sort(others)
    return np.searchsorted(ordered, members, "left"), np.searchsorted(ordered, members, "right")


def area_over_people(members: Scores, others: Scores) -> Interval:
    """`area_under_roc` with its interval, by bootstrap of members and of others (percentiles, 95 %).

    Args:
        members, others: float64 [people], one or more each.
    """
    return _interval(area_under_roc(members, others), _drawn_areas(members, others), len(members) + len(others))


def area_difference(members: Scores, others: Scores, reference: tuple[Scores, Scores]) -> Interval:
    """How much larger the area is than that of other scores of the same people, who are drawn together (95 %).

    Args:
        members, others: float64 [people], one or more each.
        reference: (members, others), the other scores of each, in the same order.
    """
    value = area_under_roc(members, others) - area_under_roc(*reference)
    drawn = _drawn_areas(members, others) - _drawn_areas(*reference)
    return _interval(value, drawn, len(members) + len(others))


def _drawn_areas(members: Scores, others: Scores) -> Scores:
    """The area of each bootstrap draw of members and of others: float64 [draws]."""
    own, other = _draws(len(members), len(others))
    shares = np.zeros((_RESAMPLES, len(others) + 1))  # of others among the first 0, 1, 2, ... of them by score
    np.cumsum(other[:, np.argsort(others)], axis=1, out=shares[:, 1:])
    below, up_to = _places(members, others)
    drawn: Scores = (own * (shares[:, below] + shares[:, up_to])).sum(1) / 2
    return drawn


def _draws(members: int, others: int) -> tuple[Scores, Scores]:
    """Shares that each person has in each draw: float64 [draws, members] and [draws, others]."""
    rng = generator(_SEED, _PURPOSE, members, others)
    own, other = (rng.multinomial(n, np.full(n, 1 / n), _RESAMPLES) / n for n in (members, others))
    return own, other


def _interval(value: float, drawn: NDArray[np.floating[Any]], people: int) -> Interval:
    low, high = np.quantile(drawn, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2]).tolist()
    return Interval(value, float(low), float(high), people, "people")


def balanced_accuracy(members: Scores, others: Scores) -> Interval | None:
    """Mean of true positives and true negatives, with its bootstrap interval; None of fewer than two on a side.

    The threshold that is best on every second person is used on the rest, and the other way round: one that is chosen
    on the people that it is measured on finds more than there is.

    Args:
        members, others: float64 [people], in an order that says nothing.
    """
    if min(len(members), len(others)) < 2:
        return None
    right, wrong = np.zeros(len(members)), np.zeros(len(others))
    for half in (0, 1):
        threshold = _best_threshold(members[1 - half :: 2], others[1 - half :: 2])
        right[half::2] = members[half::2] >= threshold
        wrong[half::2] = others[half::2] >= threshold
    own, other = _draws(len(members), len(others))
    drawn = (1 + own @ right - other @ wrong) / 2  # [draws]
    return _interval(float(1 + right.mean() - wrong.mean()) / 2, drawn, len(members) + len(others))


def _best_threshold(members: Scores, others: Scores) -> float:
    """Who is at or above it is taken for a member."""
    cuts = np.unique(np.concatenate([members, others]))
    missed = np.searchsorted(np.sort(members), cuts) / len(members)  # members below
    spared = np.searchsorted(np.sort(others), cuts) / len(others)
    best = int((spared - missed).argmax())
    return float(cuts[max(best - 1, 0)] + cuts[best]) / 2


@dataclass(frozen=True)
class TruePositives:
    """At a threshold that lets so many others through."""

    rate: float
    low: float
    """Of the interval of Clopper and Pearson, 95 %, which is of members alone: the threshold is made of others."""
    high: float
    others: int
    others_above: int
    most_false_positives: float
    """97.5 % sure: the false-positive rate of the threshold, beyond the people that it was made of, is below it."""


def true_positives_at(members: Scores, others: Scores, rate: float) -> TruePositives | None:
    """Share of members above a threshold that at most this share of others is above; None where that is nobody.

    Args:
        members, others: float64 [people].
        rate: of false positives, in (0, 1).
    """
    n, m = len(others), len(members)
    allowed = int(rate * n + 1e-9)
    if allowed < 1 or m == 0 or allowed >= n:
        return None
    threshold = np.sort(others)[n - 1 - allowed]
    found = int((members > threshold).sum())
    tail = (1 - CONFIDENCE) / 2
    return TruePositives(
        rate=found / m,
        low=float(scipy.stats.beta.ppf(tail, found, m - found + 1)) if found else 0.0,
        high=float(scipy.stats.beta.ppf(1 - tail, found + 1, m - found)) if found < m else 1.0,
        others=n,
        others_above=int((others > threshold).sum()),
        # The chance to be above the k-th largest of n is distributed as Beta(k, n - k + 1), here k = allowed + 1.
        most_false_positives=float(scipy.stats.beta.ppf(1 - tail, allowed + 1, n - allowed)),
    )


def roc(members: Scores, others: Scores, points: int = 64) -> list[tuple[float, float]]:
    """(false, true positives) at thresholds from strict to lax, at rates that are even on a logarithmic scale.

    Args:
        members, others: float64 [people], one or more each.
        points: at most, from 1 / others to 1.
    """
    n, members, others = len(others), np.sort(members), np.sort(others)
    counts = np.unique(np.geomspace(1, n, points).round().astype(np.int64))
    found = []
    for allowed in counts.tolist():
        above = others[n - 1 - allowed] if allowed < n else -np.inf
        found.append((allowed / n, float((members > above).mean())))
    return found
