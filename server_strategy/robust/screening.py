"""What is left out before anything is added up: by the norm of an update, or by its direction.

What is left out counts as zeros: sums are divided by what they would have been divided by with it. See `statements` for
what that does to a claim.

Example:
    >>> import numpy as np
    >>> points = np.array([[1.0, 0.0], [1.0, 0.1], [-1.0, 0.0]])
    >>> screened_mean(points, cosines_with_median(points) >= 0).round(3).tolist()
    [0.667, 0.033]
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from server_strategy.robust.rules import Points, Vector, coordinate_median
from server_strategy.update_sum import NonFiniteUpdateError, l2_norm
from typefleet.errors import expected


def passes_norm(update: NDArray[np.floating[Any]], most: float) -> bool:
    """Whether an update's norm, before clipping, is at most so much; one that is not finite never passes.

    What is decided is of this update alone, as long as `most` is of the settings and not of the round's other updates.

    Args:
        update: of one phone, float [d].
        most: L2 norm, in units of the weights.
    """
    return l2_norm(update) <= most


def cosines_with_median(points: Points) -> NDArray[np.float64]:
    """Cosine of each bucket's mean with the median of all, coordinate by coordinate: float64 [B].

    A point or a median of zeros has the cosine 0 with everything. (FLTrust, Cao et al. 2021, arXiv:2012.13995, compares
    with an update of the server's own instead, for which it needs text.)

    Args:
        points: mean update of each bucket, float [B, d].

    Raises:
        NonFiniteUpdateError: a coordinate is not finite.
    """
    if not np.isfinite(points).all():
        raise NonFiniteUpdateError(expected("points", "finite numbers", "others"))
    median = coordinate_median(points)
    products = np.array([float((point * median).sum()) for point in points])  # [B]
    norms = np.array([l2_norm(point) for point in points]) * l2_norm(median)  # [B]
    return np.divide(products, norms, out=np.zeros(len(points)), where=norms > 0)


def screened_mean(points: Points, passed: NDArray[np.bool_]) -> Vector:
    """The mean of all buckets, of which those that did not pass are zeros: float64 [d].

    Args:
        points: float [B, d].
        passed: bool [B].
    """
    mean: Vector = np.where(passed[:, None], points, 0.0).sum(0) / len(points)
    return mean
