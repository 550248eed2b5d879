"""How much releases tell of each canary: one score for each, by a filter that learns the noise from the releases.

A canary adds w_t times its direction u to release t. Its projections on u are w_t plus noise, and the best that can be
said of it is the matched filter's: w' S^-1 p, with p the projections and S the covariance of the noise over releases.
S is measured: directions that no canary has are by far the most, so that the Gram matrix of the releases is S, but for
the little that canaries add. So the attacker need not know the mechanism: noise that is cancelled later, or used twice,
shows in S and is taken out.

With X the releases, [releases, dimension], and W = w S^-1, a score is (W X u) / sqrt(w S^-1 w'), which has deviation 1;
a canary that is in shifts it by sqrt(w S^-1 w').
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from simulation.studies.audits.canary_play import Observed

ROWS_A_RELEASE = 16  # dimensions for each release, at least, so that the covariance is known well enough
_RIDGE = 1e-9  # of the mean variance: noise that is used twice has a covariance without an inverse


class Scores(NamedTuple):
    """Of each canary."""

    scores: NDArray[np.float64]  # [canaries]
    shifts: NDArray[np.float64]  # [canaries], of the scores of those that are in, if each adds what it may
    most: float  # such shift of any canary, without the bias of choosing the largest


def filtered(observed: Observed) -> Scores:
    """Scores from all releases.

    Args:
        observed: with a canary, and more dimensions than releases.
    """
    releases, weights = observed.releases.astype(np.float64), observed.weights
    dimension = releases.shape[1]
    # Two halves of the dimensions: which canary is most exposed is read from one, and how much from the other.
    halves = [covariance(releases[:, half::2]) for half in (0, 1)]
    filters = np.linalg.solve(sum(halves) / 2, weights.T)  # [releases, canaries]
    shifts = np.sqrt(_quadratic(weights, filters))  # [canaries]
    projections = releases.astype(np.float32) @ observed.directions.T  # [releases, canaries]
    scores = (filters * projections).sum(axis=0) / shifts
    choosing, telling = (np.linalg.solve(half, weights.T) for half in halves)
    most = int(_quadratic(weights, choosing).argmax())
    own = _quadratic(weights[most : most + 1], telling[:, most : most + 1])[0]
    # The inverse of a measured covariance is too large on average: that of a Wishart matrix, by d / (d - n - 1).
    rows = dimension // 2
    unbiased = own * max(rows - len(releases) - 1, 1) / rows
    return Scores(scores, shifts, float(np.sqrt(unbiased)))


def covariance(releases: NDArray[np.float64]) -> NDArray[np.float64]:
    """Of what each coordinate has in one release and in another: float64 [releases, releases].

    Args:
        releases: float64 [releases, dimension].
    """
    gram: NDArray[np.float64] = releases @ releases.T / releases.shape[1]
    gram[np.diag_indices(len(gram))] += _RIDGE * float(np.trace(gram)) / len(gram)
    return gram


def _quadratic(weights: NDArray[np.float64], filters: NDArray[np.float64]) -> NDArray[np.float64]:
    """w S^-1 w' of each canary: float64 [canaries]."""
    found: NDArray[np.float64] = np.einsum("ct,tc->c", weights, filters)
    return found


def of_last_model(observed: Observed) -> Scores:
    """Scores from what the last model has moved by, as if nothing else were known: its cosine with each direction.

    A cosine times the root of the dimension is standard normal for a direction that is not in it. The shift of a canary
    that is in is taken to be as large as the number of its participations, whose unit is not known: shifts are counts.

    Args:
        observed: with a canary.
    """
    moved = observed.last_model.astype(np.float64)
    length = float(np.linalg.norm(moved)) / np.sqrt(len(moved))
    scores = observed.directions @ moved / (length or 1.0)  # [canaries]
    counts = observed.weights.sum(axis=1)
    return Scores(scores, counts, float(counts.max()))


def largest_cosines(observed: Observed) -> NDArray[np.float64]:
    """float64 [canaries]: the largest cosine with any release, times the root of the dimension (Andrew et al.).

    Args:
        observed: with a canary.
    """
    lengths = np.linalg.norm(observed.releases, axis=1) / np.sqrt(observed.releases.shape[1])  # [releases]
    unit = observed.releases / np.maximum(lengths, np.finfo(np.float32).tiny)[:, None]
    found: NDArray[np.float64] = (unit @ observed.directions.T).max(axis=0).astype(np.float64)
    return found
