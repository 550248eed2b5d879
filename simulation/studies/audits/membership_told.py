"""What an attack on membership came to: figures of a score, and the same as attacks, with what they are held to."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from client_model.metrics.intervals import CONFIDENCE, Interval
from simulation.studies.audits.attack import Attack
from simulation.studies.audits.membership_scores import (
    Limit,
    TruePositives,
    area_over_people,
    balanced_accuracy,
    roc,
    true_positives_at,
)

RATES = (0.01, 0.001)  # of false positives
AREA, ACCURACY = "AUC", "balanced accuracy"
_AREA_IS = "area under the ROC curve"


@dataclass(frozen=True)
class Inferred:
    """How well one score tells members of one model from others."""

    model: str
    score: str
    members: int
    others: int
    area: Interval
    """Under the ROC curve."""
    accuracy: Interval | None
    """Balanced."""
    true_positives: Mapping[str, TruePositives | None]
    """By the rate of false positives."""
    roc: tuple[tuple[float, float], ...]
    """(false, true positives)."""
    allowed: tuple[tuple[float, float], ...] | None = None
    """The same of what the model's limit allows; None: it has none."""
    recall: float | None = None
    """First suggestions of the model that are right, on 20 held-out phones."""


def inferred(
    model: str,
    score: str,
    scores: NDArray[np.float64],
    is_in: NDArray[np.bool_],
    *,
    limit: Limit | None = None,
    recall: float | None = None,
) -> Inferred:
    """All figures of one score.

    Args:
        model, score: names.
        scores: float64 [people].
        is_in: bool [people], members; not all, and not none.
        limit: that the model's claim sets.
        recall: of the model.
    """
    members, others = scores[is_in], scores[~is_in]
    allowed = None if limit is None else tuple((x, limit.true_positives(x)) for x in np.geomspace(1e-3, 1, 40).tolist())
    return Inferred(
        model=model,
        score=score,
        members=len(members),
        others=len(others),
        area=area_over_people(members, others),
        accuracy=balanced_accuracy(members, others),
        true_positives={str(rate): true_positives_at(members, others, rate) for rate in RATES},
        roc=tuple(roc(members, others)),
        allowed=allowed,
        recall=recall,
    )


@dataclass(frozen=True, kw_only=True)
class Told:
    """What is said with the figures of one model, and what these are held to."""

    attacker: str
    sees: str
    assumes: str
    limit: Limit | None  # None: limit_is says why
    limit_is: str
    why: str = ""


def name_of(rate: float) -> str:
    """Of the true positives at a rate of false ones."""
    return f"true positives at {100 * rate:g} %"


def figures_of(name: str, one: Inferred, told: Told) -> Iterator[Attack]:
    """The figures as attacks.

    Args:
        name: of the model that was attacked.
        one: the figures.
        told: what is said with them.
    """
    lacking = [rate for rate in RATES if one.true_positives[str(rate)] is None]
    too_few = [f"{one.others:,} others are too few for a rate of {100 * r:g} %: it takes {1 / r:,.0f}" for r in lacking]
    told = replace(told, why="; ".join([*filter(None, [told.why]), *too_few]))  # with all, so that it is said once
    area, accuracy = (None, None) if told.limit is None else (told.limit.area, told.limit.balanced_accuracy)
    yield _of_interval(f"{name} ({AREA})", _AREA_IS, one.area, told, area)
    yield _of_interval(f"{name} ({ACCURACY})", ACCURACY, one.accuracy, told, accuracy)
    for rate in RATES:
        yield _of_rate(f"{name} ({name_of(rate)})", rate, one, told)


def _attack(name: str, quantity: str, told: Told, **figures: Any) -> Attack:
    said = {"attacker": told.attacker, "sees": told.sees, "assumes": told.assumes, "quantity": quantity}
    return Attack(name=name, **{"bound_is": told.limit_is, "why": told.why, **said, **figures})


def _of_interval(name: str, quantity: str, found: Interval | None, told: Told, bound: float | None) -> Attack:
    if found is None:
        return _attack(name, quantity, told, value=None, why="fewer than two members, or than two others")
    interval = {"value": found.mean, "low": found.low, "high": found.high, "confidence": CONFIDENCE}
    return _attack(name, quantity, told, **interval, bound=bound)


def _of_rate(name: str, rate: float, one: Inferred, told: Told) -> Attack:
    """The bound is at the largest rate of false positives that the threshold may have among people at large."""
    found, quantity = one.true_positives[str(rate)], f"share of members, at {100 * rate:g} % false positives"
    if found is None:
        return _attack(name, quantity, told, value=None)
    bound, bound_is = None, told.limit_is
    if told.limit is not None:
        most = found.most_false_positives
        bound = told.limit.true_positives(most)
        bound_is = f"{told.limit_is}, at {100 * most:.2g} % false positives, which the threshold may have"
    interval = {"value": found.rate, "low": found.low, "high": found.high, "confidence": CONFIDENCE}
    return _attack(name, quantity, told, **interval, bound=bound, bound_is=bound_is)


def unmeasured(name: str, told: Told, why: str) -> Attack:
    """That there is no figure, and why.

    Args:
        name: of the model.
        told: what would be said with it.
        why: there is none.
    """
    return _attack(
        f"{name} ({AREA})", _AREA_IS, replace(told, limit_is="none: nothing was measured"), value=None, why=why
    )
