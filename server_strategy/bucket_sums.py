"""Rounds in which the server learns the sum of each bucket of phones alone, and a rule makes one of the buckets' means.

Each bucket is a session of its own: of secure aggregation with real masks (`SecAggBuckets`), or as if (`BucketsAlone`).
All buckets take each step together. Leave to learn is asked for once, when all vectors are there and before a mask of
any bucket is taken off; with fewer buckets than the rule needs nothing is unmasked at all.

A phone that leaves before its vector is there counts as zeros in its bucket, whose mean is over all of its phones that
were asked. A bucket whose session fails has no sum: it is left out, the rule works over the others, and its phones
count as zeros in the round, which is divided by the fixed goal. They count as having taken part.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from logging import WARNING, getLogger
from typing import Any

import numpy as np
from flwr.app import Message, RecordDict
from numpy.typing import NDArray

from server_strategy.aggregation.departures import TOO_FEW_BUCKETS, WHY_FAILED, CountedRound
from server_strategy.aggregation.graph import USUAL_ASSUMPTIONS, Assumptions
from server_strategy.aggregation.keys import RunSecret
from server_strategy.aggregation.terms import RoundTerms, Step
from server_strategy.aggregation.vector import SumError, UpdateTotals
from server_strategy.aggregators import (
    Asked,
    EachPhoneTold,
    Leaving,
    Line,
    MayLearn,
    facts_of,
    length_of,
)
from server_strategy.cohorts import RoundPlan
from server_strategy.protocol import TrainRequest
from server_strategy.record_reader import ProtocolError
from server_strategy.robust.rule import RobustRule
from server_strategy.robust_rounds import bucket_facts
from server_strategy.round_replies import RoundReplies, SummedAnswers, read_totals, without_failed_hosts
from server_strategy.secagg_rounds import SecAgg
from server_strategy.shard_reply import phones_named
from typefleet.errors import expected

_LOG = getLogger("typefleet")


class Buckets:
    """The buckets of one round: what came of each, and what the rule makes of them.

    Args:
        rule: of the run.
        dealt: the phones of each bucket, leaving or not: B times int64 [n].
    """

    def __init__(self, rule: RobustRule, dealt: Sequence[NDArray[np.int64]]) -> None:
        self.rule, self.dealt = rule, list(dealt)
        self.failed: list[str | None] = [None] * len(self.dealt)  # why a bucket has no sum
        self.came: list[RoundReplies] = []  # of each bucket; empty until answers are there
        self.screened = 0
        self._whose = {phone: number for number, own in enumerate(self.dealt) for phone in own.tolist()}

    def take(self, replies: Iterable[Message], reporters: NDArray[np.int64], length: int) -> None:
        """Add up the answers of each bucket by itself.

        Args:
            replies: of the hosts.
            reporters: phones that were asked.
            length: numbers of a vector.

        Raises:
            ProtocolError: an answer is malformed, has phones of two buckets, or phones that were not asked.
        """
        adding = [SummedAnswers(reporters[np.isin(reporters, phones)], length) for phones in self.dealt]
        for reply in without_failed_hosts(replies):
            where = {self._whose.get(phone, 0) for phone in phones_named(reply).tolist()} or {0}
            if len(where) > 1:
                raise ProtocolError(expected("answer to train", "phones of one bucket", f"those of {len(where)}"))
            adding[where.pop()].add(reply)
            del reply
        self.came = [one.joined() for one in adding]

    def drop_totals(self) -> list[NDArray[np.int64]]:
        """The sums that came, B times int64 [length], which are not kept here: each is as large as the model."""
        totals, none = [one.total for one in self.came], np.zeros(0, np.int64)  # no view, which would keep all of it
        self.came = [replace(one, total=none) for one in self.came]
        return totals

    def too_few(self) -> str | None:
        """Why nothing is made of the buckets that are left; None if they are enough."""
        left = self.failed.count(None)
        few = self.rule.too_few(left)
        if few is None or left == len(self.dealt):
            return few
        words = "; ".join(f"{number} since {WHY_FAILED[cause]}" for cause, number in self._causes().items())
        return f"{few}: of {len(self.dealt)} there were {len(self.dealt) - left} left out ({words})"

    def joined(self) -> RoundReplies:
        """Who is in the sums of the buckets that are left, and who is not; without a sum."""
        kept = [one for one, failed in zip(self.came, self.failed, strict=False) if failed is None]
        out = [one.reported for one, failed in zip(self.came, self.failed, strict=False) if failed is not None]
        causes = {
            phone: cause
            for one in self.came
            for phone, cause in zip(one.failed.tolist(), one.failure_causes, strict=True)
        }
        none = np.zeros(0, np.int64)
        return RoundReplies(
            total=none,
            reported=_sorted(one.reported for one in kept),
            norms=np.zeros(0),
            loss_sums=np.zeros(0),
            tokens=none,
            rejected=_sorted(one.rejected for one in self.came),
            failed=np.array(sorted(causes), np.int64),
            failure_causes=tuple(causes[phone] for phone in sorted(causes)),
            left_out=_sorted(out),
        )

    def learn(
        self, may_learn: MayLearn, sum_of: Callable[[int], NDArray[np.int64]], num_weights: int, server_round: int
    ) -> RoundReplies:
        """What the rule makes of the sums that are learnt; none if there are too few, or they must not be.

        Args:
            may_learn: is asked before the first.
            sum_of: by bucket, the sum of its vectors, int64 [length].
            num_weights: of the model.
            server_round: of the phones.
        """
        nothing = np.zeros(num_weights, np.int64)
        if (why := self.too_few() or may_learn(self.joined())) is not None:
            return replace(self.joined(), total=nothing, not_summed=why)
        return self.made(sum_of, num_weights, server_round)

    def made(self, sum_of: Callable[[int], NDArray[np.int64]], num_weights: int, server_round: int) -> RoundReplies:
        """The same of sums that may be learnt."""
        means = np.empty((len(self.dealt), num_weights))  # float64, in units of the fixed point
        totals: list[UpdateTotals] = []
        phones = 0
        for number, own in enumerate(self.dealt):
            if self.failed[number] is not None:
                continue
            try:
                total = sum_of(number)
                read = read_totals(
                    self.came[number], total, num_weights, None, server_round=server_round, is_whole=False
                )
            except SumError as error:
                _LOG.log(WARNING, "%s", error)
                self.failed[number] = "no_sum"
                continue
            np.divide(read.total, len(own), out=means[len(totals)])
            totals.append(read.totals(1.0))
            phones += len(own)
        came = self.joined()
        if (few := self.too_few()) is not None:
            return replace(came, total=np.zeros(num_weights, np.int64), not_summed=few)
        total, self.screened = self.rule.total(means[: len(totals)], phones)
        return replace(came, total=total, sums=_added(totals))

    def facts(
        self, protocol: str, terms: RoundTerms, took: Sequence[Mapping[Step, int]], refused: int
    ) -> dict[str, Any]:
        """What the record of the round says: the graph of the smallest bucket, all else of all buckets together.

        Args:
            protocol: its name.
            terms: of any bucket.
            took: by bucket, the phones that took each step.
            refused: messages that were.
        """
        sizes, left = [len(own) for own in self.dealt], self.failed.count(None)
        fewest, together = min(sizes, default=0), sum((Counter(one) for one in took), Counter[Step]())
        few = self.rule.too_few(left) is not None
        graph = facts_of(
            *(protocol, replace(terms, phones=fewest), {Step.ADVERTISE: fewest}),
            invited=sum(sizes),
            failed=TOO_FEW_BUCKETS if few else None,
            refused=refused,
        )
        counts = {"invited": sum(sizes), **{step.word: together[step] for step in terms.steps()}}
        own = bucket_facts(
            *(self.rule.name, sizes), in_rule=0 if few else left, screened=self.screened, left_out=self._causes()
        )
        own["vectors_left_out"] = len(self.joined().left_out)
        return {**graph, "took": counts, "buckets": own}

    def _causes(self) -> dict[str, int]:
        return dict(Counter(cause for cause in self.failed if cause is not None).most_common())


class BucketsAlone(EachPhoneTold):
    """The sums of `SecAggBuckets` without any mask or key; it hides nothing.

    Args:
        rule: of the run.
        seed: draws who is with whom.
        order: draws the order of the phones in each graph.
        assumptions: what the session of a bucket has to withstand.
    """

    protocol = "arithmetic"
    gives_sum = False

    def __init__(
        self, rule: RobustRule, seed: int, order: RunSecret, assumptions: Assumptions = USUAL_ASSUMPTIONS
    ) -> None:
        self._rule, self._seed, self._order, self._assumptions = rule, seed, order, assumptions
        self._round = Buckets(rule, [])
        self._leaving = Leaving()
        self._number = 0

    def begin(self, server_round: int, plan: RoundPlan, line: Line) -> NDArray[np.int64]:
        """Deal out all who are invited, and remember who leaves when; phones of a bucket that is left may train."""
        self._leaving, self._number = Leaving(plan), server_round
        dealt = self._rule.deal(self._leaving.phones, seed=self._seed, server_round=server_round)
        self._round = Buckets(self._rule, dealt)
        begun = [own for own, one in zip(self._round.dealt, self._count(), strict=True) if _trains(one)]
        return plan.reporters[np.isin(plan.reporters, _sorted(begun))]

    def groups(self) -> Sequence[NDArray[np.int64]]:
        """The buckets of the round that began last."""
        return self._round.dealt

    def content(self, request: TrainRequest) -> RecordDict:
        """The request alone."""
        return request.to_content()

    def join(self, replies: Iterable[Message], asked: Asked) -> RoundReplies:
        """Add up each bucket's vectors, and make one of their means."""
        self._round.take(replies, asked.reporters, length_of(None, asked.num_weights))
        self._leaving.without_vectors(asked.reporters, [one.reported for one in self._round.came])
        self._round.failed = [one.failure for one in self._count()]
        totals = self._round.drop_totals()
        return self._round.learn(asked.may_learn, totals.__getitem__, asked.num_weights, self._number)

    def facts(self) -> dict[str, Any] | None:
        """What `secagg` would say."""
        return self._round.facts(self.protocol, self._terms(1), [one.took for one in self._count()], refused=0)

    def _terms(self, phones: int) -> RoundTerms:
        return RoundTerms(self._number, 1, b"", phones=phones, assumptions=self._assumptions)

    def _count(self) -> list[CountedRound]:
        return [self._leaving.count(self._terms(len(own)), own, self._order) for own in self._round.dealt]


class SecAggBuckets(SecAgg):
    """Each bucket's phones mask their vectors for a session of their own; the server learns the buckets' sums.

    Args:
        rule: of the run.
        seed: draws who is with whom.
        authority, order: as of `SecAgg`.
        others: of `SecAgg`, but for `noised`.
    """

    gives_sum = False

    def __init__(self, rule: RobustRule, seed: int, authority: bytes, order: RunSecret, **others: Any) -> None:
        super().__init__(authority, order, **others)
        self._rule, self._seed = rule, seed
        self._round = Buckets(rule, [])

    def _dealt(self, server_round: int, phones: NDArray[np.int64]) -> list[NDArray[np.int64]]:
        """The phones of each session of a round: of each bucket."""
        self._round = Buckets(self._rule, self._rule.deal(phones, seed=self._seed, server_round=server_round))
        return self._round.dealt

    def groups(self) -> Sequence[NDArray[np.int64]] | None:
        """The buckets of the round that began last."""
        return self._round.dealt

    def join(self, replies: Iterable[Message], asked: Asked) -> RoundReplies:
        """Add up each bucket's masked vectors, have its phones take its masks off, and make one of the means."""
        this = self._round
        this.take(replies, asked.reporters, length_of(None, asked.num_weights))
        totals = this.drop_totals()
        for session, one in zip(self._sessions, this.came, strict=True):
            session.receive_masked(one.reported, totals.pop(0))
        why = self._unmask(lambda: self._may_learn(asked.may_learn))
        self._see_failures()
        if why is None:
            return this.made(self._sum_of, asked.num_weights, self._last_round)
        return replace(this.joined(), total=np.zeros(asked.num_weights, np.int64), not_summed=why)

    def facts(self) -> dict[str, Any] | None:
        """The graph of the smallest bucket, and of all buckets together the phones that took each step."""
        self._see_failures()
        took = [{Step[word.upper()]: number for word, number in one.took.items()} for one in self._sessions]
        return self._round.facts(self.protocol, self._sessions[0].terms, took, refused=self._messages_refused())

    def _may_learn(self, may_learn: MayLearn) -> str | None:
        self._see_failures()
        return self._round.too_few() or may_learn(self._round.joined())

    def _see_failures(self) -> None:
        read = self._round.failed  # a sum that was unmasked and is none
        self._round.failed = [one.failed or was for one, was in zip(self._sessions, read, strict=True)]

    def _sum_of(self, bucket: int) -> NDArray[np.int64]:
        return self._sessions[bucket].total()


def _sorted(phones: Iterable[NDArray[np.int64]]) -> NDArray[np.int64]:
    """All of several: int64 [n]."""
    return np.sort(np.concatenate([np.zeros(0, np.int64), *phones]))


def _trains(counted: CountedRound) -> bool:
    return counted.failed_in is None or counted.failed_in >= Step.MASK


def _added(totals: Sequence[UpdateTotals]) -> UpdateTotals:
    """What goes with the sums of all buckets together."""
    return UpdateTotals(
        sum(one.reports_below for one in totals),
        sum(one.tokens for one in totals),
        sum(one.loss_sum for one in totals),
        sum(one.norm_sum or 0.0 for one in totals),
    )
