"""Lower bounds on privacy from one run, valid whatever the attack: how many guesses can be right, if the claim holds.

m canaries are each in or out by the toss of a coin. An attacker who sees what was released guesses of r of them whether
they were in, and of v is right. Few mechanisms with the claimed guarantee let anybody be right so often; that chance is
bounded here, so that the claim can be refused at a stated significance. Nothing is assumed of the canaries, their
scores or the noise.

* `epsilon_at_least`: against (epsilon, delta). Steinke, Nasr and Jagielski, "Privacy auditing with one (1) training
  run", arXiv:2305.08846, Theorem 5.2.
* `mu_at_least`: against mu-Gaussian differential privacy, which mechanisms with Gaussian noise claim by their noise
  multiplier. Mahloujifar, Melis and Chaudhuri, "Auditing f-differential privacy in one run", arXiv:2410.22235,
  Algorithm 3.

| papers | here |
|---|---|
| m | canaries |
| r, c | guesses |
| v, c' | correct |
| beta, tau | significance |
"""

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import numpy as np
import scipy.special
from numpy.typing import ArrayLike, NDArray

from typefleet.errors import InputError, expected

SIGNIFICANCE = 0.05
_TOLERANCE = 1e-7  # of a bound
_MOST = 1e4  # of a bound, when nothing refuses it


class Guesses(NamedTuple):
    """What an attacker guessed of some canaries."""

    canaries: int
    guesses: int
    correct: int


def p_value(found: Guesses, epsilon: float, delta: float) -> float:
    """The most that the chance of so many correct guesses can be under (epsilon, delta)-differential privacy.

    With W ~ Binomial(r, e^eps / (1 + e^eps)) and P = Pr[W >= v] it is
    P + 2 m delta max over i of (Pr[W >= v - i] - P) / i, i from 1 to v.

    Args:
        found: the guesses.
        epsilon, delta: the claim.
    """
    q = scipy.special.expit(epsilon)
    by_chance = _at_least(found.correct, found.guesses, q)
    if delta == 0 or found.correct == 0:
        return min(float(by_chance), 1.0)
    i = np.arange(1, found.correct + 1)
    gain = (_at_least(found.correct - i, found.guesses, q) - by_chance) / i
    return min(float(by_chance + 2 * found.canaries * delta * gain.max()), 1.0)


def _at_least(correct: ArrayLike, guesses: int, q: float) -> NDArray[np.float64]:
    """Pr[Binomial(guesses, q) >= correct]."""
    k = np.asarray(correct)
    found: NDArray[np.float64] = np.where(k > 0, scipy.special.bdtrc(np.maximum(k - 1, 0), guesses, q), 1.0)
    return found


def epsilon_at_least(found: Guesses, delta: float, significance: float = SIGNIFICANCE) -> float:
    """The largest epsilon whose claim, at delta, the guesses refuse; 0 if they refuse none.

    Args:
        found: the guesses.
        delta: of the claim.
        significance: chance that it is too large all the same.

    Raises:
        InputError: no guesses, or more correct ones than guesses or more guesses than canaries.
    """
    _check(found)
    return _largest(lambda epsilon: p_value(found, epsilon, delta) <= significance)


def mu_at_least(found: Guesses, significance: float = SIGNIFICANCE) -> float:
    """The largest mu whose claim of Gaussian differential privacy the guesses refuse; 0 if they refuse none.

    Args:
        found: the guesses.
        significance: chance that it is too large all the same.

    Raises:
        InputError: as `epsilon_at_least`.
    """
    _check(found)
    return _largest(lambda mu: _refuses_gaussian(found, mu, significance))


def _refuses_gaussian(found: Guesses, mu: float, significance: float) -> bool:
    """Whether so many correct guesses have a smaller chance than the significance under mu-GDP.

    h and r are shares of all canaries: were the chance as large as the significance, wrong and right guesses would have
    at least these shares among the events with at least i right guesses. They are followed from i = v down to 0; more
    than all guesses together cannot be.
    """
    wrong = significance * (found.guesses - found.correct) / found.canaries
    right = significance * found.correct / found.canaries
    for i in range(found.correct - 1, -1, -1):
        # Of a Gaussian trade-off: who is right in a share x is wrong in at least Phi(Phi^-1(x) - mu).
        least = float(scipy.special.ndtr(scipy.special.ndtri(right) - mu)) if right < 1 else 1.0
        if least <= wrong:
            break  # and stays so
        right = min(right + i / (found.guesses - i) * (least - wrong), 1.0)
        wrong = least
    return right + wrong > found.guesses / found.canaries


def _largest(refuses: Callable[[float], bool]) -> float:
    """The largest number that is refused, if all below one that is refused are; 0 if not even that is."""
    if not refuses(0.0):
        return 0.0
    low, high = 0.0, 1.0
    while refuses(high):
        low, high = high, 2 * high
        if high > _MOST:
            return low
    while high - low > _TOLERANCE:
        middle = (low + high) / 2
        low, high = (middle, high) if refuses(middle) else (low, middle)
    return low


def _check(found: Guesses) -> None:
    if not (0 <= found.correct <= found.guesses <= found.canaries and found.guesses > 0):
        what = "0 <= correct <= guesses <= canaries, and a guess"
        raise InputError(expected("guesses", what, f"{found.correct}, {found.guesses}, {found.canaries}"))


# Which canaries are guessed -----------------------------------------------------------------------------


def guesses_both_ways(
    scores: NDArray[np.float64], included: NDArray[np.bool_], shares: Sequence[float]
) -> list[Guesses]:
    """Guess the canaries with the highest scores in and as many with the lowest out, for shares fixed beforehand.

    Args:
        scores: float64 [canaries]; above 0 where in is likelier than out.
        included: bool [canaries].
        shares: of the canaries that are guessed, each in (0, 1]. Each is a test of its own: divide the significance by
            their number.

    Raises:
        InputError: not a score and a coin for each canary.
    """
    _check_scores(scores, included)
    order = np.argsort(-scores, kind="stable")
    found = []
    for share in shares:
        half = max(1, round(share * len(scores) / 2))
        half = min(half, len(scores) // 2)
        correct = int(included[order[:half]].sum()) + int((~included[order[len(order) - half :]]).sum())
        found.append(Guesses(len(scores), 2 * half, correct))
    return found


def guesses_in_above(scores: NDArray[np.float64], included: NDArray[np.bool_]) -> list[Guesses]:
    """Guess all canaries in that have at least some score, nobody out; for each score on the hull of the ROC curve.

    The hull is found by looking at who was in. Tests of all of its corners, with the significance divided by their
    number, are customary, but chosen by the data: for bounds that hold, take `guesses_both_ways`.

    Args:
        scores, included: as of `guesses_both_ways`.

    Returns:
        One for each corner of the hull, also for no guess at all and for all.
    """
    _check_scores(scores, included)
    thresholds = np.append(np.unique(scores), np.inf)
    ins, outs = np.sort(scores[included]), np.sort(scores[~included])
    right = len(ins) - np.searchsorted(ins, thresholds)  # [thresholds]
    wrong = len(outs) - np.searchsorted(outs, thresholds)
    corners = _upper_hull(zip(wrong[::-1].tolist(), right[::-1].tolist(), strict=True))
    return [Guesses(len(scores), w + r, r) for w, r in corners]


def _upper_hull(points: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """Corners of the least concave curve above points, which come by their first coordinate."""
    hull: list[tuple[int, int]] = []
    for x, y in points:
        while len(hull) > 1 and _is_below(hull[-2], hull[-1], (x, y)):
            hull.pop()
        hull.append((x, y))
    return hull


def _is_below(a: tuple[int, int], b: tuple[int, int], c: tuple[int, int]) -> bool:
    """Whether b is on the line from a to c, or below it."""
    return (b[1] - a[1]) * (c[0] - b[0]) <= (c[1] - b[1]) * (b[0] - a[0])


def _check_scores(scores: NDArray[np.float64], included: NDArray[np.bool_]) -> None:
    if scores.ndim != 1 or included.dtype != np.bool_ or scores.shape != included.shape or len(scores) < 2:
        found = f"{list(scores.shape)} and {included.dtype} {list(included.shape)}"
        raise InputError(expected("scores and coins", "one for each of at least 2 canaries", found))
    if not np.isfinite(scores).all():
        raise InputError(expected("scores", "finite numbers", "others"))


def best_of(found: Iterable[Guesses], bound: Callable[[Guesses], float]) -> float:
    """The largest bound of several tests; 0 of none that has a guess.

    Args:
        found: what was guessed in each.
        bound: of one of them, at a significance that is divided by their number.
    """
    return max((bound(one) for one in found if one.guesses), default=0.0)
