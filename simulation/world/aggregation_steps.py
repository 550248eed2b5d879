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
from server_strategy.aggregation.departures import CountedRound, count_round
from server_strategy.aggregation.graph import GraphSize
from server_strategy.aggregation.keys import RunSecret
from server_strategy.aggregation.sizes import StepBytes, step_bytes
from server_strategy.aggregation.terms import RoundTerms, Step
from server_strategy.funnel import Funnel
from simulation.world.fleet import Fleet
from typefleet.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class SteppedFunnel(Funnel):
    """The funnel of a round whose updates are added up in steps.

    invited = group + dropped + late + unused, and group = reported + left_advertise + left_share + left_mask, but for
    the phones that a round which failed before it had their vectors has in neither. `dropped_upload` is 0: what breaks
    off is the upload of the masked vector, and counts as left_mask.
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
    left_withdrawn: int | None = None  # of those in left_*, the ones that withdrew; None: nobody can


@dataclass(frozen=True)
class SteppedRound:
    """What the steps of a round came to."""

    counted: CountedRound
    leaves: NDArray[np.int64]  # [group], the step that each does not take any more; Step.DONE for those that stay
    over_s: float  # when the round ended, with a sum or without
    withdrew: NDArray[np.bool_] | None = None  # bool [group], before that; None: nobody can

    @property
    def in_sum(self) -> NDArray[np.bool_]:
        """bool [group]: whose vectors are in the sum; nobody's if there is none."""
        return (self.leaves > Step.MASK) & (self.counted.failure is None and not self.unmasked_too_late)

    @property
    def unmasked_too_late(self) -> bool:
        """Whether there is no sum since somebody withdrew whose vector was counted in it already."""
        if self.withdrew is None or self.counted.failure is not None:
            return False
        return bool((self.withdrew & (self.leaves > Step.MASK)).any())


@dataclass(frozen=True)
class AggregationSteps:
    """Lets the group of a round take its steps.

    Attributes:
        terms: of every round, but for its number and its phones.
        order: the server's secret, which draws the order of the phones in the graph.
        latency_s: of each step, beside its bytes.
    """

    terms: RoundTerms
    order: RunSecret
    latency_s: float

    def resolve(self, group: NDArray[np.int64], began_s: float, server_round: int, fleet: Fleet) -> SteppedRound:
        """Play the steps of one round.

        Args:
            group: int64 [group], the phones, in ascending order.
            began_s: when they begin.
            server_round: number of the round.
            fleet: whose phones they are.
        """
        terms = replace(self.terms, server_round=server_round, phones=len(group))
        until_s, sizes = _until(fleet, group, began_s), self.bytes_of(len(group))
        leaves, now_s, over_s = np.full(len(group), int(Step.DONE)), began_s, {}
        down, up = (speed[group] for speed in (fleet.devices.download_bytes_per_s, fleet.devices.upload_bytes_per_s))
        tries, breaks_off = _tries(fleet, group, server_round)
        withdrawn_s = fleet.withdrawn_s(group, began_s)
        if withdrawn_s is not None:
            until_s = np.minimum(until_s, withdrawn_s)
        for step in terms.steps():
            there = leaves == Step.DONE
            bytes_ = sizes.get(step, StepBytes(0, 0))
            upload_s = bytes_.up / up * (tries if step is Step.MASK else 1)
            end_s = now_s + self.latency_s + bytes_.down / down + upload_s  # [group]
            lost = there & ((end_s > until_s) | (breaks_off & (step is Step.MASK)))
            leaves[lost] = step
            now_s = float(np.minimum(end_s, np.maximum(until_s, now_s))[there].max(initial=now_s))
            over_s[step] = now_s
            if step is Step.MASK and withdrawn_s is not None:
                leaves[(leaves == Step.DONE) & (withdrawn_s <= now_s)] = Step.MASK
        counted = count_round(terms, group, leaves, self.order)
        ended_s = now_s if counted.failed_in is None else over_s[counted.failed_in]
        return SteppedRound(counted, leaves, ended_s, None if withdrawn_s is None else withdrawn_s <= ended_s)

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
        group, sizes = len(played.leaves), self.bytes_of(len(played.leaves)).values()
        own: dict[str, Any] = {**vars(funnel), "reported": int(played.in_sum.sum()), "closed_s": played.over_s}
        own |= {f"left_{step.word}": int((played.leaves == step).sum()) for step in Step if step is not Step.DONE}
        return SteppedFunnel(
            **own,
            group=group,
            aggregation_s=played.over_s - closed_s,
            phone_up_bytes=sum(int(one.up) for one in sizes),
            phone_down_bytes=sum(int(one.down) for one in sizes),
            aggregation_failed="withdrawn" if played.unmasked_too_late else played.counted.failure,
            left_withdrawn=None if played.withdrew is None else int(played.withdrew.sum()),
        )


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
