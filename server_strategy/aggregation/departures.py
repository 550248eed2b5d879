"""What becomes of a round of secure aggregation when phones leave it: the server's rules, without any key.

The graph is the one that the server draws, so a round fails here where and why it would fail there.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from server_strategy.aggregation.failures import FailureCause
from server_strategy.aggregation.graph import GraphSize, draw_ring
from server_strategy.aggregation.keys import RunSecret
from server_strategy.aggregation.terms import RoundTerms, Step
from typefleet.errors import ConfigError

TOO_FEW_BUCKETS: FailureCause = "too_few_buckets"
WHY_FAILED: Mapping[str, str] = {
    "too_few_advertised": "too few phones sent keys",
    "too_few_shared": "too few phones shared their secrets",
    "too_few_masked": "too few masked vectors arrived",
    "too_few_confirmed": "too few phones confirmed who is in the sum",
    "too_few_unmasked": "too few phones were left to unmask the sum",
    "shares_do_not_fit": "shares of a secret do not fit each other",
    TOO_FEW_BUCKETS: "too few buckets of phones were left for the robust rule",
    "no_sum": "the sum is none of clipped updates",
}
_CAUSE: Mapping[Step, FailureCause] = {
    Step.SHARE: "too_few_shared",
    Step.MASK: "too_few_masked",
    Step.CONFIRM: "too_few_confirmed",
    Step.UNMASK: "too_few_unmasked",
}


@dataclass(frozen=True)
class CountedRound:
    """What came of a round.

    Attributes:
        failure: why it ended without a sum; None if it did not.
        failed_in: the step in which it ended so.
        took: phones that took each step, up to the one in which the round failed.
        size: of the graph; None if there was none.
    """

    failure: FailureCause | None
    failed_in: Step | None
    took: dict[Step, int]
    size: GraphSize | None


def count_round(
    terms: RoundTerms, phones: NDArray[np.int64], leaves: NDArray[np.integer[Any]], order: RunSecret
) -> CountedRound:
    """Play a round without keys.

    Args:
        terms: of the round.
        phones: int64 [phones], that are invited, in ascending order.
        leaves: int [phones], the step whose message each does not send any more; `Step.DONE` for those that stay.
        order: the server's secret, which draws the order of the phones.
    """
    there = leaves > Step.ADVERTISE
    took = {Step.ADVERTISE: int(there.sum())}
    try:
        size = terms.graph_size(took[Step.ADVERTISE])
    except ConfigError:
        return CountedRound("too_few_advertised", Step.ADVERTISE, took, None)
    ring = np.array(draw_ring(phones[there].tolist(), order, terms.server_round))
    last = leaves[np.searchsorted(phones, ring)]  # [advertised], in the order of the ring
    shared, masked = last > Step.SHARE, last > Step.MASK
    needed = shared & (masked | (_near(masked, size) > 0))  # of whom a secret has to be recovered
    for step in terms.steps()[1:]:
        staying = last > step
        took[step] = int(staying.sum())
        of = shared if step is Step.SHARE else needed
        lonely = int(_near(staying, size)[of].min(initial=size.neighbours if of.any() else 0)) < size.threshold
        if lonely or (step is Step.MASK and took[step] < size.least_survivors):
            return CountedRound(_CAUSE[step], step, took, size)
    return CountedRound(None, None, took, size)


def _near(those: NDArray[np.bool_], size: GraphSize) -> NDArray[np.int64]:
    """How many neighbours of each phone of the ring are among `those`."""
    each = those.astype(np.int64)
    if size.complete:
        return np.full(len(each), each.sum()) - each
    near = np.zeros_like(each)
    for distance in range(1, size.neighbours // 2 + 1):
        near += np.roll(each, distance) + np.roll(each, -distance)
    return near
