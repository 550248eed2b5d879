"""Rounds whose updates are not added up but go through a rule that few attackers cannot move at will; see `robust`.

Each message to a host has phones of one bucket alone, so what hosts answer are parts of the buckets' exact sums. A
bucket's mean is its sum over the phones that were asked, so one that fails counts as zeros, as in a plain round. What
the rule makes of the means, times the round's phones, takes the place of the sum: it is divided by the fixed goal like
one. A server keeps the sum of each bucket, whose number is that of the settings: its memory does not grow with phones.

Here the server is told of each phone; `bucket_sums` has the same where it learns the buckets' sums alone.
"""

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import numpy as np
from flwr.app import Message, RecordDict
from numpy.typing import NDArray

from server_strategy.aggregators import Asked, EachPhoneTold, Line
from server_strategy.cohorts import RoundPlan
from server_strategy.protocol import TrainReply, TrainRequest
from server_strategy.record_reader import ProtocolError
from server_strategy.robust.config import NORM_SCREENING
from server_strategy.robust.rule import RobustRule
from server_strategy.round_replies import RoundReplies, join_replies
from typefleet.errors import expected


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
        self._screened = 0

    def begin(self, server_round: int, plan: RoundPlan, line: Line) -> NDArray[np.int64]:
        """Deal the round's phones out; all of them may train."""
        self._buckets = self._rule.deal(plan.reporters, seed=self._seed, server_round=server_round)
        self._screened = 0
        return plan.reporters

    def groups(self) -> list[NDArray[np.int64]]:
        """The buckets of the round that began last."""
        return self._buckets

    def join(self, replies: Iterable[Message], asked: Asked) -> RoundReplies:
        """Add up each bucket, and make one of their means; none where too few phones are left for the rule."""
        sums = np.zeros((len(self._buckets), asked.num_weights), np.int64)
        bucket_of = {phone: number for number, own in enumerate(self._buckets) for phone in own.tolist()}

        def add(answer: TrainReply) -> None:
            phones = np.concatenate([answer.phones, answer.rejected, answer.failed])
            where = {bucket_of[phone] for phone in phones.tolist()}
            if len(where) > 1:
                raise ProtocolError(expected("answer to train", "phones of one bucket", f"those of {len(where)}"))
            for number in where:
                sums[number] += answer.update_sum

        came = join_replies(replies, asked.reporters, asked.num_weights, add)
        if (few := self._rule.too_few(len(sums))) is not None:
            return replace(came, not_summed=few)
        sizes = np.array([len(own) for own in self._buckets])
        means = sums / sizes[:, None]  # float64 [B, num_weights], in units of the fixed point
        total, self._screened = self._rule.total(means, len(asked.reporters))
        return replace(came, total=total)

    def facts(self) -> dict[str, Any] | None:
        """How many buckets there were, and how many of them were screened out."""
        sizes = [len(own) for own in self._buckets]
        return {
            "protocol": self.protocol,
            "buckets": bucket_facts(self._rule.name, sizes, in_rule=len(sizes), screened=self._screened),
        }


class NormScreening(EachPhoneTold):
    """Rounds in which a phone whose update is longer than a bound of the settings counts as zeros.

    Whoever adds up a host's phones leaves it out. What is left is a sum, and one phone moves it by the clip norm at
    most (`robust.statements`); no noise is added to it all the same, for no statement of a run with noise says so.

    Args:
        longest: norm of an update before clipping that passes, in clip norms.
    """

    gives_sum = False

    def __init__(self, longest: float) -> None:
        self._longest = longest
        self._bound = float("inf")  # of the round, in units of the weights
        self._screened = 0

    def content(self, request: TrainRequest) -> RecordDict:
        """The request, with the bound."""
        self._bound = self._longest * request.clip_norm
        return replace(request, longest_norm=self._bound).to_content()

    def join(self, replies: Iterable[Message], asked: Asked) -> RoundReplies:
        """Add up the hosts' sums, and count who is in none of them."""
        came = join_replies(replies, asked.reporters, asked.num_weights)
        self._screened = int((came.norms > self._bound).sum())
        return came

    def facts(self) -> dict[str, Any] | None:
        """How many phones were screened out."""
        return {"protocol": self.protocol, "rule": NORM_SCREENING, "phones_screened_out": self._screened}


def bucket_facts(
    rule: str, sizes: list[int], *, in_rule: int, screened: int, left_out: dict[str, int] | None = None
) -> dict[str, Any]:
    """What the record of a round says of its buckets.

    Args:
        rule: its name.
        sizes: phones that were asked to be in each.
        in_rule: buckets that the rule was given.
        screened: of these, that were screened out.
        left_out: buckets without a sum, by cause; None where none can be.
    """
    said = {} if left_out is None else {"left_out": left_out}
    fewest = min(sizes, default=0)
    return {
        "rule": rule,
        "formed": len(sizes),
        "fewest_phones": fewest,
        "in_rule": in_rule,
        "screened_out": screened,
        **said,
    }
