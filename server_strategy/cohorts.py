"""Who reports in a round, and how the work is split into messages.

The server does not know the world. It asks a `CohortSource` for a `RoundPlan`: the reporters of the
round, resolved in simulated time before anything is trained. `simulation` answers from its fleet;
`UniformCohorts` answers by drawing at random, for use without a fleet.
"""

import heapq
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from server_strategy.funnel import Funnel
from typefleet.errors import InputError, expected

UNIFORM_WEIGHTS = "uniform weights"


@dataclass(frozen=True, kw_only=True)
class RoundPlan:
    """One round as it will have happened, before training."""

    reporters: NDArray[np.int64]  # [reports], ids of the phones whose update arrives in time
    tokens: NDArray[np.int64]  # [reports], tokens each trains on; used to balance the work
    abandoned: str | None = None  # why nothing will be released, or None
    funnel: Funnel | None = None  # what became of the phones that were asked; None: the source does not know
    started_round: NDArray[np.int64] | None = None  # [reports], whose weights each trains from; None: this one's
    update_weight: NDArray[np.float64] | None = None  # [reports], in (0, 1], of each clipped update; None: all 1
    text_as_of_s: float = 0.0  # simulated time at which phones read what they keep; 0: it does not matter
    leaves: Mapping[int, int] | None = None  # phones that leave secure aggregation, by the step that they do not take

    def only(self, phones: NDArray[np.int64]) -> "RoundPlan":
        """The same round with some of its reporters alone."""
        if len(phones) == len(self.reporters):
            return self
        own = np.isin(self.reporters, phones)
        return replace(
            self,
            reporters=self.reporters[own],
            tokens=self.tokens[own],
            started_round=None if self.started_round is None else self.started_round[own],
            update_weight=None if self.update_weight is None else self.update_weight[own],
        )

    @staticmethod
    def without_reporters(abandoned: str) -> "RoundPlan":
        """A round that is abandoned before any phone is asked.

        Args:
            abandoned: why.
        """
        nobody = np.zeros(0, np.int64)
        return RoundPlan(reporters=nobody, tokens=nobody, abandoned=abandoned)


class CohortSource(Protocol):
    """Resolves rounds; implemented by the simulated world."""

    @property
    def most_reports(self) -> int:
        """No round has more reporters than this."""

    @property
    def max_staleness(self) -> int:
        """No reporter of round i began before round i minus this; 0: all begin from the newest weights."""

    @property
    def weighting(self) -> str:
        """How updates are weighted, for the privacy statement, such as `uniform weights`."""

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

    @property
    def most_reports(self) -> int:
        """The goal: a plan has that many reporters or none."""
        return self.goal

    @property
    def max_staleness(self) -> int:
        """0: all begin from the newest weights."""
        return 0

    @property
    def weighting(self) -> str:
        """Every update counts the same."""
        return UNIFORM_WEIGHTS

    def plan_round(self, server_round: int, may_participate: NDArray[np.bool_]) -> RoundPlan:
        """Draw the round's phones; with fewer than `goal` admitted the round is abandoned."""
        admitted = np.flatnonzero(may_participate)
        if len(admitted) < self.goal:
            return RoundPlan.without_reporters(f"{len(admitted)} phones admitted, goal {self.goal}")
        rng = np.random.default_rng(np.random.SeedSequence([self.seed, server_round]))
        chosen = np.sort(rng.choice(admitted, self.goal, replace=False))
        return RoundPlan(reporters=chosen, tokens=np.ones(len(chosen), np.int64))


def check_plan(plan: RoundPlan, cohorts: CohortSource, server_round: int, may_participate: NDArray[np.bool_]) -> None:
    """Hold a plan to what the guarantee and the exact sum rest on, whoever made it.

    An update is clipped to C and then weighted by at most 1, so that it adds at most C to the sum, for which the
    noise is made.

    Args:
        plan: of a round that is not abandoned.
        cohorts: who made it.
        server_round: the round.
        may_participate: bool [num_phones], phones that the participation rule admits.

    Raises:
        InputError: it breaks a rule.
    """
    _check_ids(plan.reporters, len(may_participate))
    reports, admitted = len(plan.reporters), may_participate[plan.reporters]
    if reports > cohorts.most_reports or len(np.unique(plan.reporters)) < reports:
        raise InputError(expected("reporters", f"at most {cohorts.most_reports}, each once", reports))
    if not admitted.all():
        raise InputError(expected("reporters", "phones that the participation rule admits", "others"))
    aligned = (plan.tokens, plan.started_round, plan.update_weight)
    if any(column is not None and len(column) != reports for column in aligned):
        raise InputError(expected("tokens, rounds and weights", f"those of {reports} reporters", "other lengths"))
    weight = plan.update_weight
    if weight is not None and not ((weight > 0) & (weight <= 1)).all():  # refuses NaN, too
        raise InputError(expected("update_weight", "numbers in (0, 1]", f"{weight.min()} to {weight.max()}"))
    started, earliest = plan.started_round, server_round - cohorts.max_staleness
    if started is not None and not ((started <= server_round) & (started >= earliest)).all():
        what = f"round {server_round} or up to {cohorts.max_staleness} rounds before"
        raise InputError(expected("started_round", what, f"{started.min()} to {started.max()}"))


def _check_ids(reporters: NDArray[np.int64], num_phones: int) -> None:
    """Refuse what numpy would take for another phone's id: -1 is the last phone, and reports a second time."""
    if not isinstance(reporters, np.ndarray) or reporters.ndim != 1 or reporters.dtype.kind not in "iu":
        found = f"{getattr(reporters, 'dtype', type(reporters).__name__)} {list(np.shape(reporters))}"
        raise InputError(expected("reporters", "whole numbers [reports]", found))
    if len(reporters) and not (reporters.min() >= 0 and reporters.max() < num_phones):
        raise InputError(expected("reporters", f"ids from 0 to {num_phones - 1}", "others"))


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
