"""Estimates of privacy from scores of canaries, where scores are normal: with intervals, and without a guarantee.

Andrew et al., "One-shot empirical privacy estimation for federated learning", arXiv:2302.03098: canaries are random
directions in many dimensions, so that the scores of those that are out are normal; a normal is fitted to each of the
two groups, and epsilon is that of telling one from the other at delta. Where canaries differ in how exposed they are
(one took part five times, another once), all of them tell of one number instead: how many times the shift that they
were to have the shift is that they have.

| paper | here |
|---|---|
| N(mu_0, sigma_0), N(mu_1, sigma_1) | out, the normal of scores of canaries that are out; in_ |
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import scipy.optimize
import scipy.special
from numpy.typing import NDArray

from server_strategy.privacy.accounting import epsilon_of_gaussian
from typefleet.errors import InputError, expected

CONFIDENCE = 0.99  # an interval that leaves out the truth once in a hundred audits, to either side once in two hundred
_MOST_MU = 1e3  # above it epsilon is mu^2 / 2 and more, and no number that anybody needs exactly
_SAME = 1e-9  # deviations that differ by less are one


class Normal(NamedTuple):
    """A normal distribution."""

    mean: float
    deviation: float


class Estimate(NamedTuple):
    """A figure with its interval."""

    value: float
    low: float
    high: float


def epsilon_of_mu(mu: float, delta: float) -> float:
    """Epsilon at delta of telling N(mu, 1) from N(0, 1), exactly up to mu of a thousand; 0 for mu up to 0.

    Args:
        mu: as of Gaussian differential privacy; above a thousand, mu^2 / 2, which is less than epsilon, is taken.
        delta: in (0, 1).
    """
    if mu <= 0:
        return 0.0
    return mu * mu / 2 if mu > _MOST_MU else epsilon_of_gaussian(mu * mu / 2, delta)


def fit(scores: NDArray[np.float64]) -> Normal:
    """The normal of some scores.

    Args:
        scores: float64 [canaries].

    Raises:
        InputError: fewer than two.
    """
    if len(scores) < 2:
        raise InputError(expected("scores", "those of at least 2 canaries", len(scores)))
    return Normal(float(scores.mean()), float(scores.std(ddof=1)))


def epsilon_of_two_normals(out: Normal, in_: Normal, delta: float) -> float:
    """Epsilon at delta of telling two normals apart, whichever of them is the one that is likelier.

    The set in which the ratio of the two densities exceeds e^epsilon is an interval, or all but one, so that
    delta(epsilon) is a difference of a few values of Phi; epsilon is where it comes to delta.

    Args:
        out, in_: with deviations above 0.
        delta: in (0, 1).
    """
    return max(_epsilon_one_way(out, in_, delta), _epsilon_one_way(in_, out, delta))


def _epsilon_one_way(p: Normal, q: Normal, delta: float) -> float:
    def excess(epsilon: float) -> float:
        held_p, log_held_q = _mass_where_likelier(p, q, epsilon)
        return held_p - math.exp(min(epsilon + log_held_q, 0.0)) - delta

    if excess(0.0) <= 0:
        return 0.0
    high = 1.0
    while excess(high) > 0:
        high *= 2
    return float(scipy.optimize.brentq(excess, 0.0, high, xtol=1e-9))


def _mass_where_likelier(p: Normal, q: Normal, epsilon: float) -> tuple[float, float]:
    """(Pr_p[S], log Pr_q[S]) of the set S in which log p(x) - log q(x) > epsilon."""
    # log p - log q = a x^2 + b x + c
    a = (q.deviation**-2 - p.deviation**-2) / 2
    b = p.mean / p.deviation**2 - q.mean / q.deviation**2
    c = (q.mean / q.deviation) ** 2 / 2 - (p.mean / p.deviation) ** 2 / 2 + math.log(q.deviation / p.deviation)
    if abs(a) * p.deviation**2 < _SAME:
        if b == 0:
            return (1.0, 0.0) if c > epsilon else (0.0, -math.inf)
        bound = (epsilon - c) / b
        return _mass(p, bound, b > 0), _log_mass(q, bound, b > 0)
    discriminant = b * b - 4 * a * (c - epsilon)
    if discriminant <= 0:
        return (1.0, 0.0) if a > 0 else (0.0, -math.inf)
    left, right = sorted((-b + sign * math.sqrt(discriminant)) / (2 * a) for sign in (-1, 1))
    if a > 0:  # outside
        held = _mass(p, left, False) + _mass(p, right, True)
        return held, float(np.logaddexp(_log_mass(q, left, False), _log_mass(q, right, True)))
    return _mass(p, left, True) - _mass(p, right, True), _log_between(q, left, right)


def _mass(n: Normal, bound: float, above: bool) -> float:
    z = (bound - n.mean) / n.deviation
    return float(scipy.special.ndtr(-z if above else z))


def _log_mass(n: Normal, bound: float, above: bool) -> float:
    z = (bound - n.mean) / n.deviation
    return float(scipy.special.log_ndtr(-z if above else z))


def _log_between(n: Normal, left: float, right: float) -> float:
    """log Pr[left < x < right], from the side on which it is small."""
    above = left + right > 2 * n.mean
    more, less = (left, right) if above else (right, left)
    larger, smaller = _log_mass(n, more, above), _log_mass(n, less, above)
    return -math.inf if larger == smaller else larger + math.log1p(-math.exp(smaller - larger))


def shift_ratio(
    scores: NDArray[np.float64], expected_shift: NDArray[np.float64], included: NDArray[np.bool_]
) -> Estimate:
    """How many times the shift that they were to have canaries that are in have, by least squares.

    Scores have mean 0 where a canary is out, since directions are random, and one deviation, which is measured.

    Args:
        scores: float64 [canaries].
        expected_shift: float64 [canaries], above 0.
        included: bool [canaries].

    Raises:
        InputError: none of them is in, or none out.
    """
    if included.all() or not included.any():
        raise InputError(expected("canaries", "some that are in and some that are out", f"{int(included.sum())} in"))
    return least_squares(expected_shift * included, scores)


def least_squares(
    regressor: NDArray[np.float64], observed: NDArray[np.float64], beside: NDArray[np.float64] | None = None
) -> Estimate:
    """The factor of a regressor in what was observed, with the interval of normal errors of one unknown deviation.

    Args:
        regressor, observed: float64 [observations].
        beside: a second regressor, whose factor is of no interest; None: there is none.
    """
    parameters = 1
    if beside is not None:
        parameters, direction = 2, beside / np.linalg.norm(beside)
        regressor, observed = (one - direction * float(direction @ one) for one in (regressor, observed))
    weight = float(regressor @ regressor)
    factor = float(regressor @ observed) / weight
    left = observed - factor * regressor
    variance = float(left @ left) / (len(left) - parameters)
    half = float(scipy.special.ndtri((1 + CONFIDENCE) / 2)) * math.sqrt(variance / weight)
    return Estimate(factor, factor - half, factor + half)


def through(estimate: Estimate, increasing: Callable[[float], float]) -> Estimate:
    """An estimate of what grows with what was estimated.

    Args:
        estimate: of the argument.
        increasing: function of one number.
    """
    return Estimate(*map(increasing, estimate))
