"""Rounds whose updates are not added up but go through a rule that few attackers cannot move at will; see `robust`.

Each message to a host has phones of one bucket alone, so what hosts answer are parts of the buckets' exact sums. A
bucket's mean is its sum over the phones that were asked, so one that fails counts as zeros, as in a plain round. What
the rule makes of the means, times the round's phones, takes the place of the sum: it is divided by the fixed goal like
one. A server keeps the sum of each bucket, whose number is that of the settings: its memory does not grow with phones.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np
from flwr.app import Message
from numpy.typing import NDArray

from server_strategy.aggregators import EachPhoneTold, Line, MayLearn, learn_any
from server_strategy.cohorts import RoundPlan
from server_strategy.protocol import TrainReply
from server_strategy.record_reader import ProtocolError
from server_strategy.robust.buckets import buckets_of
from server_strategy.robust.config import least_buckets
from server_strategy.robust.rules import robust_mean
from server_strategy.round_replies import RoundReplies, join_replies
from typefleet.errors import expected


@dataclass(frozen=True)
class RobustRule:
    """How the means of buckets become one.

    Attributes:
        name: of the rule.
        buckets: that a round's phones are dealt out to.
        spoiled: of them, that an attacker may be in.
    """

    name: str
    buckets: int
    spoiled: int


class RobustRounds(EachPhoneTold):
    """An `aggregators.Aggregator` that gives no sum, so that no noise may be added to what it gives.

    Args:
        rule: of the run.
        seed: draws who is with whom.
    """

    gives_sum = False

    def __init__(self, rule: RobustRule, seed: int) -> None:
        self._rule, self._seed = rule, seed
        self._buckets: list[NDArray[np.int64]] = []

    def begin(self, server_round: int, plan: RoundPlan, line: Line) -> NDArray[np.int64]:
        """Deal the round's phones out; all of them may train."""
        self._buckets = buckets_of(plan.reporters, self._rule.buckets, seed=self._seed, server_round=server_round)
        return plan.reporters

    def groups(self) -> list[NDArray[np.int64]]:
        """The buckets of the round that began last."""
        return self._buckets

    def join(
        self,
        replies: Iterable[Message],
        reporters: NDArray[np.int64],
        num_weights: int,
        may_learn: MayLearn = learn_any,
    ) -> RoundReplies:
        """Add up each bucket, and make one of their means; none where too few phones are left for the rule."""
        sums = np.zeros((len(self._buckets), num_weights), np.int64)
        bucket_of = {phone: number for number, own in enumerate(self._buckets) for phone in own.tolist()}

        def add(answer: TrainReply) -> None:
            phones = np.concatenate([answer.phones, answer.rejected, answer.failed])
            where = {bucket_of[phone] for phone in phones.tolist()}
            if len(where) > 1:
                raise ProtocolError(expected("answer to train", "phones of one bucket", f"those of {len(where)}"))
            for number in where:
                sums[number] += answer.update_sum

        came = join_replies(replies, reporters, num_weights, add)
        rule = self._rule
        if len(sums) < least_buckets(rule.name, rule.spoiled):
            return replace(came, not_summed=f"{len(sums)} buckets of phones are too few for {rule.name}")
        sizes = np.array([len(own) for own in self._buckets])
        means = sums / sizes[:, None]  # float64 [B, num_weights], in units of the fixed point
        found = robust_mean(rule.name, means, rule.spoiled) * len(reporters)
        return replace(came, total=np.rint(found).astype(np.int64))
