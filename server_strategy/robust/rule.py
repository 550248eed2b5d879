"""What a run makes of the sums of a round's buckets: by a rule in the place of the mean, or by screening."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from server_strategy.robust.buckets import buckets_of
from server_strategy.robust.config import COSINE_SCREENING, NORM_SCREENING, least_buckets
from server_strategy.robust.rules import Vector, robust_mean
from server_strategy.robust.screening import cosines_with_median, screened_mean
from server_strategy.update_sum import FRACTION_BITS, l2_norm


@dataclass(frozen=True)
class RobustRule:
    """How the means of buckets become one.

    Attributes:
        name: of the rule, one of `statements.DEFENCES` but for clipping.
        buckets: that a round's phones are dealt out to, at most.
        spoiled: of them, that an attacker may be in.
        bucket_phones: phones of a bucket, at least; a round of fewer phones has fewer buckets instead.
        longest: of norm screening, L2 norm of a bucket's mean that passes, in clip norms.
        least_cosine: of cosine screening, with the median of a bucket that passes.
    """

    name: str
    buckets: int
    spoiled: int
    bucket_phones: int = 1
    longest: float = float("inf")
    least_cosine: float = 0.0

    def deal(self, phones: NDArray[np.int64], *, seed: int, server_round: int) -> list[NDArray[np.int64]]:
        """Deal a round's phones out to buckets.

        Args:
            phones: ids, each once: int64 [n].
            seed: of the draw.
            server_round: of the phones.

        Returns:
            The ids of each bucket; none is empty, so that there are no buckets of no phones.
        """
        number = max(1, min(self.buckets, len(phones) // self.bucket_phones))
        return buckets_of(phones, number, seed=seed, server_round=server_round)

    def too_few(self, buckets: int) -> str | None:
        """Why nothing is made of so many buckets; None if there are enough of them."""
        if buckets >= least_buckets(self.name, self.spoiled):
            return None
        return f"{buckets} buckets of phones are too few for {self.name}"

    def total(self, means: NDArray[np.float64], phones: int) -> tuple[NDArray[np.int64], int]:
        """(what takes the place of the sum, int64 [d]; buckets that screening left out).

        What is left out counts as zeros.

        Args:
            means: of each bucket, in units of the fixed point: float64 [B, d].
            phones: of all of these buckets.
        """
        mean, screened = self._mean(means)
        return np.rint(mean * phones).astype(np.int64), screened

    def _mean(self, means: NDArray[np.float64]) -> tuple[Vector, int]:
        if self.name == COSINE_SCREENING:
            passed = cosines_with_median(means) >= self.least_cosine  # [B]
        elif self.name == NORM_SCREENING:
            norms = np.array([l2_norm(mean) for mean in means]) * 2.0**-FRACTION_BITS  # [B], in clip norms
            passed = norms <= self.longest
        else:
            return robust_mean(self.name, means, self.spoiled), 0
        return screened_mean(means, passed), int((~passed).sum())
