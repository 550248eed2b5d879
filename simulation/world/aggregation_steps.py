"""The steps of secure aggregation in simulated time: how long each takes, and whom it loses.

The phones of a round that have trained in time are its group. From then on all of them take one step after another, and
nobody begins a step before the last one is over: keys, shares, the masked vector, the confirmation, the unmasking. In
each a phone hears its messages and sends its own, at its own speed, beside a latency that is the same for all. It is
lost if its eligible session ends first, or, with the masked vector, if the last try of the upload breaks off; the
server notices at once. Masked vectors take the place of the plain upload at the end of training.

A phone whose owner takes back the consent to train leaves at that moment. Its vector is no part of the sum unless the
step in which vectors are sent is over: until then the server can count it among those that never came, and its masks
are taken off like theirs. After that the vectors that are in are agreed on, and asking for other shares would give away
a phone's own vector; so if anybody withdraws then, before the sum is there, the sum is not unmasked at all.

What the round comes to follows from who leaves when, see `aggregation.departures`. The bytes are those of the messages
of a phone whose neighbours all stay.
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from client_model.keyed_random import purpose_key, uniform
from server_strategy.aggregation.departures import TOO_FEW_BUCKETS, count_round
from server_strategy.aggregation.failures import FailureCause
from server_strategy.aggregation.graph import GraphSize
from server_strategy.aggregation.keys import RunSecret
from server_strategy.aggregation.sizes import StepBytes, step_bytes
from server_strategy.aggregation.terms import RoundTerms, Step
from server_strategy.funnel import Funnel
from server_strategy.robust.rule import RobustRule
from simulation.world.fleet import Fleet
from typefleet.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class SteppedFunnel(Funnel):
    """The funnel of a round whose updates are added up in steps.

    invited = group + dropped + late + unused, and group = reported + left_advertise + left_share + left_mask, but for
    the phones that a round which failed before it had their vectors has in neither; with buckets + bucket_left_out.
    `dropped_upload` is 0: what breaks off is the upload of the masked vector, and counts as left_mask.
    """

    group: int  # phones that had trained in time
    left_advertise: int  # before their keys were there
    left_share: int  # before their shares were
    left_mask: int  # before their masked vector was
    left_confirm: int  # afterwards; their vectors are in the sum
    left_unmask: int
    aggregation_s: float  # that the steps took
    phone_up_bytes: int  # of a phone that takes all steps
    phone_down_bytes: int
    aggregation_failed: str | None = None  # the cause, where there is no sum
    bucket_left_out: int | None = None  # that stayed, and whose bucket has no sum; None where there are no buckets
    left_withdrawn: int | None = None  # of those in left_*, the ones that withdrew; None: nobody can


@dataclass(frozen=True)
class Dealing:
    """How the phones of a round are dealt out to buckets, each of which is a session of its own."""

    rule: RobustRule
    seed: int


@dataclass(frozen=True)
class SteppedRound:
    """What the steps of a round came to.

    Attributes:
        failure: why there is no sum; None if there is one.
        leaves: the step that each phone does not take any more; Step.DONE for those that stay: int [group].
        in_sum: whose vectors are in the sum: bool [group]; nobody's if there is none.
        over_s: when the round ended, with a sum or without.
        phones: of its smallest session: all of the group, or of a bucket.
        left_out: phones whose vectors came and whose bucket has no sum; None where there are no buckets.
        withdrew: who took back the consent to train before the round ended: bool [group]; None: nobody can.
        unmasked_too_late: whether there is no sum since somebody withdrew whose vector was counted in it already.
    """

    failure: FailureCause | None
    leaves: NDArray[np.int64]
    in_sum: NDArray[np.bool_]
    over_s: float
    phones: int
    left_out: int | None = None
    withdrew: NDArray[np.bool_] | None = None
    unmasked_too_late: bool = False


@dataclass(frozen=True)
class AggregationSteps:
    """Lets the group of a round take its steps.

    Attributes:
        terms: of every round, but for its number and its phones.
        order: the server's secret, which draws the order of the phones in the graph.
        latency_s: of each step, beside its bytes.
        dealing: to buckets, which take their steps beside each other; None: all phones are of one session.
    """

    terms: RoundTerms
    order: RunSecret
    latency_s: float
    dealing: Dealing | None = None

    def resolve(self, group: NDArray[np.int64], began_s: float, server_round: int, fleet: Fleet) -> SteppedRound:
        """Play the steps of one round.

        Args:
            group: int64 [group], the phones, in ascending order.
            began_s: when they begin.
            server_round: number of the round.
            fleet: whose phones they are.
        """
        withdrawn_s = fleet.withdrawn_s(group, began_s)
        times = _Times(fleet, _until(fleet, group, began_s), *_tries(fleet, group, server_round), withdrawn_s)
        played = (
            self._session(group, began_s, server_round, times)
            if self.dealing is None
            else self._in_buckets(self.dealing, group, began_s, server_round, times)
        )
        return played if withdrawn_s is None else _held_to_consent(played, withdrawn_s)

    def _in_buckets(
        self, dealing: Dealing, group: NDArray[np.int64], began_s: float, server_round: int, times: "_Times"
    ) -> SteppedRound:
        """The steps of all buckets, each a session of its own."""
        rule, found = dealing.rule, list[SteppedRound]()
        leaves, in_sum = np.full(len(group), int(Step.DONE)), np.zeros(len(group), bool)
        for phones in rule.deal(group, seed=dealing.seed, server_round=server_round):
            at = np.flatnonzero(np.isin(group, phones))
            found.append(self._session(group[at], began_s, server_round, times.of(at)))
            leaves[at], in_sum[at] = found[-1].leaves, found[-1].in_sum
        failure = TOO_FEW_BUCKETS if rule.too_few(sum(one.failure is None for one in found)) else None
        in_sum &= failure is None
        return SteppedRound(
            *(failure, leaves, in_sum),
            over_s=max((one.over_s for one in found), default=began_s),
            phones=min((one.phones for one in found), default=0),
            left_out=int(((leaves > Step.MASK) & ~in_sum).sum()),
        )

    def _session(self, group: NDArray[np.int64], began_s: float, server_round: int, times: "_Times") -> SteppedRound:
        """The steps of one session; its phones in ascending order."""
        terms = replace(self.terms, server_round=server_round, phones=len(group))
        fleet, until_s, sizes = times.fleet, times.until_s, self.bytes_of(len(group))
        leaves, now_s, over_s = np.full(len(group), int(Step.DONE)), began_s, {}
        down, up = (speed[group] for speed in (fleet.devices.download_bytes_per_s, fleet.devices.upload_bytes_per_s))
        if times.withdrawn_s is not None:
            until_s = np.minimum(until_s, times.withdrawn_s)
        for step in terms.steps():
            there = leaves == Step.DONE
            bytes_ = sizes.get(step, StepBytes(0, 0))
            upload_s = bytes_.up / up * (times.tries if step is Step.MASK else 1)
            end_s = now_s + self.latency_s + bytes_.down / down + upload_s  # [group]
            lost = there & ((end_s > until_s) | (times.breaks_off & (step is Step.MASK)))
            leaves[lost] = step
            now_s = float(np.minimum(end_s, np.maximum(until_s, now_s))[there].max(initial=now_s))
            over_s[step] = now_s
            if step is Step.MASK and times.withdrawn_s is not None:
                leaves[(leaves == Step.DONE) & (times.withdrawn_s <= now_s)] = Step.MASK
        counted = count_round(terms, group, leaves, self.order)
        in_sum = (leaves > Step.MASK) & (counted.failure is None)  # [group]
        over = now_s if counted.failed_in is None else over_s[counted.failed_in]
        return SteppedRound(counted.failure, leaves, in_sum, over, len(group))

    def bytes_of(self, phones: int) -> dict[Step, StepBytes]:
        """Bytes of a phone in each step of a round of so many; empty where there is no graph of so few."""
        size = self.graph_of(phones)
        return {} if size is None else step_bytes(self.terms, size)

    def graph_of(self, phones: int) -> GraphSize | None:
        """Size of the graph of so many phones; None if there is none."""
        try:
            return replace(self.terms, phones=phones).graph_size(phones)
        except ConfigError:
            return None

    def funnel_of(self, funnel: Funnel, played: SteppedRound, closed_s: float) -> SteppedFunnel:
        """The funnel of a round, with what its steps came to.

        Args:
            funnel: whose `reported` are the group.
            played: the steps.
            closed_s: when the group was there.
        """
        group, sizes = len(played.leaves), self.bytes_of(played.phones).values()
        own: dict[str, Any] = {**vars(funnel), "reported": int(played.in_sum.sum()), "closed_s": played.over_s}
        own |= {f"left_{step.word}": int((played.leaves == step).sum()) for step in Step if step is not Step.DONE}
        return SteppedFunnel(
            **own,
            group=group,
            aggregation_s=played.over_s - closed_s,
            phone_up_bytes=sum(int(one.up) for one in sizes),
            phone_down_bytes=sum(int(one.down) for one in sizes),
            aggregation_failed="withdrawn" if played.unmasked_too_late else played.failure,
            bucket_left_out=played.left_out,
            left_withdrawn=None if played.withdrew is None else int(played.withdrew.sum()),
        )


@dataclass(frozen=True)
class _Times:
    """When the phones of a session have to be done, and how their uploads go."""

    fleet: Fleet
    until_s: NDArray[np.float64]  # [group], when each session on a charger ends
    tries: NDArray[np.int64]  # [group], of the upload of the vector
    breaks_off: NDArray[np.bool_]  # [group], whether the last of them does too
    withdrawn_s: NDArray[np.float64] | None  # [group], when each owner takes back the consent to train; None: nobody

    def of(self, at: NDArray[np.int64]) -> "_Times":
        """Those of some of the phones, by their places."""
        withdrawn_s = None if self.withdrawn_s is None else self.withdrawn_s[at]
        return _Times(self.fleet, self.until_s[at], self.tries[at], self.breaks_off[at], withdrawn_s)


def _held_to_consent(played: SteppedRound, withdrawn_s: NDArray[np.float64]) -> SteppedRound:
    """The round, without its sum if somebody whose vector was counted in one withdrew before it ended.

    In buckets too the whole round is given up: the bucket's sum may be known by then, and nothing is made of it.

    Args:
        played: the steps.
        withdrawn_s: float64 [group], when each owner takes back the consent to train.
    """
    withdrew = withdrawn_s <= played.over_s  # [group]
    too_late = played.failure is None and bool((withdrew & (played.leaves > Step.MASK)).any())
    return replace(played, in_sum=played.in_sum & (not too_late), withdrew=withdrew, unmasked_too_late=too_late)


def _until(fleet: Fleet, group: NDArray[np.int64], now_s: float) -> NDArray[np.float64]:
    """float64 [group]: when each phone's session ends; minus infinity for those that are not there any more."""
    there = fleet.check_ins(now_s)
    order = np.argsort(there.phone, kind="stable")
    phone, until_s = there.phone[order], there.until_s[order]
    place = np.minimum(np.searchsorted(phone, group), max(len(phone) - 1, 0))
    if not len(phone):
        return np.full(len(group), -np.inf)
    return np.where(phone[place] == group, until_s[place], -np.inf)


def _tries(fleet: Fleet, group: NDArray[np.int64], server_round: int) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """(how often each phone tries to upload its vector, whether the last try breaks off too); as of `attempts`."""
    share, most = fleet.config.upload_failure_share, fleet.config.upload_tries
    luck = uniform(purpose_key(fleet.seed, "masked upload", server_round), group)
    tries = np.ones(len(group), np.int64) + sum((luck < share**n).astype(np.int64) for n in range(1, most))
    return tries, luck < share**most
