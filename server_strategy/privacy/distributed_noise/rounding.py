"""Rounding to whole numbers at random, so that it is right on average, and with a bound on the norm of what comes out.

Each coordinate becomes one of its two neighbours, the nearer one more often: the mean is the coordinate itself. The
norm can grow by sqrt(d), but hardly ever does. Conditional rounding throws again until the norm is within a bound that
at least 1 - beta of all throws keep (Kairouz et al. 2021, arXiv:2102.06387, Proposition 22): what is summed has this
sensitivity always, and the mean is off by little.
"""

import math

import numpy as np
from numpy.typing import NDArray

RETRY_BOUND = math.exp(-0.5)  # beta, of the papers' experiments
_MOST_THROWS = 1_000  # more happen with a probability below beta^1000, which is 1e-217
_SUM_MARGIN = 1 + 2.0**-26  # of a float64 sum of squares, of up to 2^26 coordinates


def rounded_norm_bound(norm: float, size: int, beta: float = RETRY_BOUND) -> float:
    """A bound on the L2 norm that a throw keeps with probability 1 - beta: Proposition 22.

    The smaller of norm + sqrt(d), which always holds, and

        sqrt(norm^2 + d / 4 + sqrt(2 log(1 / beta)) (norm + sqrt(d) / 2)).

    Args:
        norm: bound before rounding.
        size: coordinates, d.
        beta: share of the throws that may be above, in (0, 1).
    """
    spread = math.sqrt(2 * math.log(1 / beta)) * (norm + math.sqrt(size) / 2)
    return min(norm + math.sqrt(size), math.sqrt(norm * norm + size / 4 + spread))


def l1_bound(l2_norm: float, size: int) -> float:
    """L1 norm of a whole-number vector of this L2 norm, at most: |x| <= x^2, and Cauchy-Schwarz.

    Args:
        l2_norm: bound of it.
        size: coordinates.
    """
    return min(math.sqrt(size) * l2_norm, l2_norm * l2_norm)


def randomly_rounded(rng: np.random.Generator, values: NDArray[np.float64]) -> NDArray[np.int64]:
    """One throw: int64 [d], whose mean is `values`, to the 53 bits of a uniform number.

    Args:
        rng: source of uniform numbers.
        values: [d], each below 2^53.
    """
    low = np.floor(values)
    rounded: NDArray[np.int64] = (low + (rng.random(len(values)) < values - low)).astype(np.int64)
    return rounded


def conditionally_rounded(
    rng: np.random.Generator, values: NDArray[np.float64], norm_bound: float
) -> NDArray[np.int64]:
    """Throws until the L2 norm is within the bound: int64 [d].

    Args:
        rng: source of uniform numbers.
        values: [d], of a norm that the bound was made for.
        norm_bound: of what comes out, without exception.

    Returns:
        The first throw within the bound; after a thousand, or where there can be none, `values` rounded toward zero,
        and shrunk if they are too long themselves.
    """
    for _ in range(_MOST_THROWS):
        rounded = randomly_rounded(rng, values)
        if _norm(rounded) <= norm_bound:
            return rounded
    shrink = min(1.0, norm_bound / max(_norm(values), norm_bound) * (1 - 2.0**-26))
    shortened: NDArray[np.int64] = np.trunc(values * shrink).astype(np.int64)
    return shortened


def _norm(values: NDArray[np.float64] | NDArray[np.int64]) -> float:
    """L2 norm, rounded up by more than the sum of squares can be off."""
    as_floats = values.astype(np.float64)
    return math.sqrt(float(np.square(as_floats).sum()) * _SUM_MARGIN)
