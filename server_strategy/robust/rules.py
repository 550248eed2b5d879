"""Rules that make one vector of several, whatever a few of them are.

    points   float [B, d], mean update of each of B buckets
    spoiled  f, how many of them an attacker may have chosen

| rule | source | needs | what it is |
|---|---|---|---|
| median | Yin et al. 2018, arXiv:1803.01498, Definition 1 | 2f < B | of each coordinate |
| trimmed-mean | the same, Definition 2 | 2f < B | of each coordinate without its f least and f greatest |
| krum | Blanchard et al. 2017, arXiv:1703.02757 | 2f + 2 < B | the point that is nearest to B - f - 2 others |
| multi-krum | the same | 2f + 2 < B | mean of the B - f - 2 points that Krum holds best |
| geometric-median | Pillutla et al. 2022, arXiv:1912.13445 | 2f < B | least sum of distances to all |

No product goes through BLAS, whose order of summation depends on the machine's threads.

Example:
    >>> import numpy as np
    >>> points = np.array([[1.0], [2.0], [3.0], [1000.0], [2.0], [1.0], [2.0]])
    >>> {name: round(float(robust_mean(name, points, 1)[0]), 2) for name in RULES}
    {'median': 2.0, 'trimmed-mean': 2.0, 'krum': 2.0, 'multi-krum': 1.75, 'geometric-median': 2.0}
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from server_strategy.robust.config import least_buckets
from server_strategy.update_sum import NonFiniteUpdateError
from typefleet.errors import ConfigError, expected

Points = NDArray[np.floating[Any]]  # [B, d]
Vector = NDArray[np.float64]  # [d]

_BLOCK = 1 << 15  # coordinates a pass
_SAME = 1e-9  # of the points' usual distance: nearer than this is the same place
_SETTLED, _MOST_STEPS = 1e-7, 200  # a step shorter than this share of the usual distance ends the search


def robust_mean(name: str, points: Points, spoiled: int) -> Vector:
    """One vector of those of all buckets, by the rule of a name.

    Args:
        name: of `RULES`.
        points: mean update of each bucket, float [B, d].
        spoiled: buckets that an attacker may have chosen; see the module for how many a rule withstands.

    Returns:
        float64 [d].

    Raises:
        ConfigError: more may be spoiled than the rule withstands, or there is no such rule.
        NonFiniteUpdateError: a coordinate is not finite.
    """
    require_enough(name, len(points), spoiled)
    if not np.isfinite(points).all():
        raise NonFiniteUpdateError(expected("points", "finite numbers", "others"))
    return RULES[name](points, spoiled)


def require_enough(name: str, buckets: int, spoiled: int, where: str = "robust_mean") -> None:
    """Refuse to do with few buckets what cannot be done.

    Args:
        name: of the rule.
        buckets: there are.
        spoiled: of them may be.
        where: it was asked for.

    Raises:
        ConfigError: the rule withstands fewer, or there is no such rule.
    """
    if name not in RULES:
        raise ConfigError(expected(where, f"one of {', '.join(RULES)}", "another rule"))
    least = least_buckets(name, spoiled)
    if spoiled < 0 or buckets < least:
        found = f"{buckets}, of which {spoiled} may be spoiled"
        raise ConfigError(expected(where, f"at least {least} buckets for {name}", found))


def coordinate_median(points: Points, spoiled: int = 0) -> Vector:
    """The median of each coordinate; of an even number the mean of the two in the middle.

    Args:
        points: float [B, d].
        spoiled: makes no difference to it.
    """
    found = np.empty(points.shape[1])
    for begin in range(0, points.shape[1], _BLOCK):
        found[begin : begin + _BLOCK] = np.median(points[:, begin : begin + _BLOCK].astype(np.float64), axis=0)
    return found


def trimmed_mean(points: Points, spoiled: int) -> Vector:
    """The mean of each coordinate without its least and its greatest values.

    Args:
        points: float [B, d].
        spoiled: values left out on each side.
    """
    found = np.empty(points.shape[1])
    for begin in range(0, points.shape[1], _BLOCK):
        ordered = np.sort(points[:, begin : begin + _BLOCK].astype(np.float64), axis=0)  # [B, _BLOCK]
        found[begin : begin + _BLOCK] = ordered[spoiled : len(points) - spoiled].mean(0)
    return found


def krum(points: Points, spoiled: int) -> Vector:
    """The point whose B - f - 2 nearest others are nearest to it.

    Args:
        points: float [B, d].
        spoiled: f.
    """
    best: Vector = points[_in_order(points, krum_scores(points, spoiled))[0]].astype(np.float64)
    return best


def multi_krum(points: Points, spoiled: int) -> Vector:
    """The mean of the B - f - 2 points that Krum holds best.

    As many as El Mhamdi et al. 2018 (arXiv:1802.07927) allow it; more could bring in one that is spoiled.

    Args:
        points: float [B, d].
        spoiled: f.
    """
    chosen = _in_order(points, krum_scores(points, spoiled))[: len(points) - spoiled - 2]
    return _mean(points[np.array(chosen)])


def krum_scores(points: Points, spoiled: int) -> NDArray[np.float64]:
    """Of each point the sum of squared distances to its B - f - 2 nearest others: float64 [B].

    Args:
        points: float [B, d].
        spoiled: f.
    """
    squared = squared_distances(points)
    np.fill_diagonal(squared, np.inf)  # itself is no other
    nearest: NDArray[np.float64] = np.sort(squared, axis=1)[:, : len(points) - spoiled - 2].sum(1)
    return nearest


def geometric_median(points: Points, spoiled: int = 0) -> Vector:
    """The point with the least sum of distances to all, by Weiszfeld's steps from the coordinate median.

    Each step is the mean of the points by one over their distance. At a point itself, where that has no value, it is
    the step of Vardi and Zhang 2000 ("The multivariate L1-median and associated data depth", PNAS 97(4)), which tells
    whether that point is the median, and leaves it where it is not.

    Args:
        points: float [B, d].
        spoiled: makes no difference to it.
    """
    at = coordinate_median(points)
    usual = float(np.median(_distances(points, at)))
    if not usual:  # half of the points or more are there
        return at
    for _ in range(_MOST_STEPS):
        moved = _nearer(points, at, _SAME * usual)
        step = float(_distances(moved[None], at)[0])
        at = moved
        if step <= _SETTLED * usual:
            break
    return at


def _nearer(points: Points, at: Vector, same: float) -> Vector:
    """One step towards the geometric median: float64 [d].

    Args:
        points: float [B, d].
        at: where the search is, float64 [d].
        same: a point that is nearer than this is where the search is.
    """
    distances = _distances(points, at)
    weights = np.where(distances > same, 1 / np.maximum(distances, same), 0.0)  # [B]
    total, here = float(weights.sum()), int((distances <= same).sum())
    moved = _mean(points, weights / total)
    if not here:
        return moved
    pull = total * float(_distances(moved[None], at)[0])  # length of the sum of unit vectors to the others
    share = min(1.0, here / pull) if pull else 1.0
    nearer: Vector = (1 - share) * moved + share * at
    return nearer


RULES: dict[str, Callable[[Points, int], Vector]] = {
    "median": coordinate_median,
    "trimmed-mean": trimmed_mean,
    "krum": krum,
    "multi-krum": multi_krum,
    "geometric-median": geometric_median,
}
"""Each rule by its name: (points [B, d], spoiled) -> [d]."""


def squared_distances(points: Points) -> NDArray[np.float64]:
    """Between all pairs of points: float64 [B, B]; from differences, so that near ones are told apart.

    Args:
        points: float [B, d].
    """
    found = np.zeros((len(points), len(points)))
    for begin in range(0, points.shape[1], _BLOCK):
        block = points[:, begin : begin + _BLOCK].astype(np.float64)  # [B, _BLOCK]
        for i in range(len(block) - 1):
            apart = block[i + 1 :] - block[i]  # [B - i - 1, _BLOCK]
            found[i, i + 1 :] += (apart * apart).sum(1)
    return found + found.T


def _distances(points: Points, at: Vector) -> NDArray[np.float64]:
    """Of each point to one: float64 [B]."""
    found = np.zeros(len(points))
    for begin in range(0, points.shape[1], _BLOCK):
        apart = points[:, begin : begin + _BLOCK] - at[begin : begin + _BLOCK]  # [B, _BLOCK]
        found += (apart * apart).sum(1)
    return np.sqrt(found)


def _mean(points: Points, weights: NDArray[np.float64] | None = None) -> Vector:
    """The mean of points, by weights that add up to 1: float64 [d]."""
    each = np.full(len(points), 1 / len(points)) if weights is None else weights
    found = np.zeros(points.shape[1])
    for point, weight in zip(points, each.tolist(), strict=True):
        found += weight * point
    return found


def _in_order(points: Points, scores: NDArray[np.float64]) -> list[int]:
    """Places of the points, best score first; of equal ones that which is less in the first coordinate that differs.

    So it is the same points that are chosen, in whatever order they come.
    """

    def before(one: int) -> tuple[float, bytes]:
        # Only points with equal scores are looked at further: big-endian and with the sign turned, bytes compare as
        # numbers do.
        tied = int((scores == scores[one]).sum()) > 1
        return float(scores[one]), _as_ordered_bytes(points[one]) if tied else b""

    return sorted(range(len(points)), key=before)


def _as_ordered_bytes(point: NDArray[np.floating[Any]]) -> bytes:
    bits = (point.astype(np.float64) + 0.0).view(np.uint64)  # + 0.0: no -0
    sign = np.uint64(1) << np.uint64(63)
    ordered = np.where(bits & sign, ~bits, bits | sign)
    return ordered.astype(">u8").tobytes()
