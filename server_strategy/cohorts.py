"""Who reports in a round, and how the work is split into messages.

The server does not know the world. It asks a `CohortSource` for a `RoundPlan`: the reporters of the
round, resolved in simulated time before anything is trained. `simulation` answers from its fleet;
`UniformCohorts` answers by drawing at random, for use without a fleet.
"""

import heapq
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class RoundPlan:
    """One round as it will have happened, before training."""

    reporters: NDArray[np.int64]  # [reports], ids of the phones whose update arrives in time
    tokens: NDArray[np.int64]  # [reports], tokens each trains on; used to balance the work
    abandoned: str | None = None  # why nothing will be released, or None
    record: dict[str, int | float | str] = field(default_factory=dict)  # the funnel and times, for the log
    started_round: NDArray[np.int64] | None = None  # [reports], whose weights each trains from; None: this one's


class CohortSource(Protocol):
    """Resolves rounds; implemented by the simulated world."""

    def plan_round(self, server_round: int, may_participate: NDArray[np.bool_]) -> RoundPlan:
        """Resolve one round.

        Args:
            server_round: 1, 2, ...; abandoned rounds have numbers of their own.
            may_participate: bool [num_phones], phones that the participation rule admits.
        """


@dataclass(frozen=True)
class UniformCohorts:
    """`goal` phones drawn without replacement from those admitted, keyed by (seed, round)."""

    goal: int
    seed: int = 0

    def plan_round(self, server_round: int, may_participate: NDArray[np.bool_]) -> RoundPlan:
        """Draw the round's phones; with fewer than `goal` admitted the round is abandoned."""
        admitted = np.flatnonzero(may_participate)
        record: dict[str, int | float | str] = {"checked_in": len(admitted)}
        if len(admitted) < self.goal:
            reason = f"{len(admitted)} phones admitted, goal {self.goal}"
            return RoundPlan(np.zeros(0, np.int64), np.zeros(0, np.int64), reason, record)
        rng = np.random.default_rng(np.random.SeedSequence([self.seed, server_round]))
        chosen = np.sort(rng.choice(admitted, self.goal, replace=False))
        return RoundPlan(chosen, np.ones(len(chosen), np.int64), None, record)


def balanced_shards(
    phones: NDArray[np.int64], tokens: NDArray[np.int64], num_shards: int, phones_per_shard: int | None = None
) -> list[NDArray[np.int64]]:
    """Split phones into shards of about equal work: the longest first, each to the lightest shard.

    Args:
        phones, tokens: int64 [n].
        num_shards: how many shards, unless `phones_per_shard` asks for more.
        phones_per_shard: most phones in one shard; None for no limit.

    Returns:
        Non-empty arrays of ids; together they hold each phone once.
    """
    if phones_per_shard is not None:
        num_shards = -(-len(phones) // phones_per_shard)
    shards: list[list[int]] = [[] for _ in range(min(num_shards, len(phones)))]
    loads = [(0, index) for index in range(len(shards))]
    for i in np.lexsort((phones, -tokens)):
        load, index = heapq.heappop(loads)
        shards[index].append(int(phones[i]))
        if phones_per_shard is None or len(shards[index]) < phones_per_shard:
            heapq.heappush(loads, (load + int(tokens[i]), index))
    return [np.array(shard, np.int64) for shard in shards]
