"""How the answers of a round's hosts become one sum, by the protocol of the settings.

An aggregator is told of a round when its plan is made, writes what the hosts are sent, and joins what they answer.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol, TypeAlias

import numpy as np
from flwr.app import Message, RecordDict
from flwr.serverapp import Grid
from numpy.typing import NDArray

from server_strategy.aggregation.departures import WHY_FAILED, CountedRound, count_round
from server_strategy.aggregation.graph import USUAL_ASSUMPTIONS, Assumptions
from server_strategy.aggregation.keys import RunSecret
from server_strategy.aggregation.noised_vectors import NoisedVectors
from server_strategy.aggregation.terms import RoundTerms, Step
from server_strategy.aggregation.vector import TAIL
from server_strategy.cohorts import RoundPlan
from server_strategy.protocol import TrainRequest
from server_strategy.protocol_of_sums import with_phone_noise
from server_strategy.round_replies import RoundReplies, join_replies, join_summed_replies, read_totals
from typefleet.errors import ConfigError

Exchange: TypeAlias = Callable[[Grid, list[Message], float], Iterable[Message]]
"""(grid, messages, seconds) -> their answers."""


MayLearn: TypeAlias = Callable[[RoundReplies], str | None]
"""Asked before a sum is learnt, with who is in it: why it must not be, or None."""


def learn_any(came: RoundReplies) -> str | None:
    """Nothing is against it."""
    return None


def send_and_receive(grid: Grid, messages: list[Message], timeout_s: float) -> Iterable[Message]:
    """As Flower does it: an answer to each message, or an error in its place, and none that is repeated."""
    return grid.send_and_receive(messages, timeout=timeout_s)


@dataclass(frozen=True)
class Line:
    """The way to the hosts, in one round."""

    grid: Grid
    nodes: Sequence[int]
    timeout_s: float
    num_weights: int  # of the model


@dataclass(frozen=True)
class Asked:
    """What the hosts answer to, in one round."""

    reporters: NDArray[np.int64]  # phones that were asked
    num_weights: int  # of the model
    may_learn: MayLearn = learn_any  # asked before the server can know a sum, unless it knows each host's anyway


class Aggregator(Protocol):
    """Makes one sum of what the hosts answer."""

    protocol: str
    noised: NoisedVectors | None  # the form of the vectors, where phones add the noise
    gives_sum: bool  # and nothing else, for which noise may be made

    def groups(self) -> Sequence[NDArray[np.int64]] | None:
        """Phones of the round that began last that may be added up with each other alone; None: all with all."""

    def begin(self, server_round: int, plan: RoundPlan, line: Line) -> NDArray[np.int64]:
        """Do what comes before the phones train; returns those that may."""

    def content(self, request: TrainRequest) -> RecordDict:
        """What a host is sent."""

    def join(self, replies: Iterable[Message], asked: Asked) -> RoundReplies:
        """Add up the answers of the round that began last.

        Args:
            replies: of the hosts.
            asked: what they are answers to.

        Raises:
            ProtocolError: an answer is malformed, or a phone reported twice or was not asked.
        """

    def facts(self) -> dict[str, Any] | None:
        """What the round's record says of the protocol; None if nothing."""


class EachPhoneTold:
    """The server gets each host's sum, and of each phone the norm, the loss and the tokens."""

    protocol = "none"
    noised: NoisedVectors | None = None
    gives_sum = True

    def groups(self) -> Sequence[NDArray[np.int64]] | None:
        """All phones may be added up with each other."""
        return None

    def begin(self, server_round: int, plan: RoundPlan, line: Line) -> NDArray[np.int64]:
        """Nothing comes before training."""
        return plan.reporters

    def content(self, request: TrainRequest) -> RecordDict:
        """The request alone."""
        return request.to_content()

    def join(self, replies: Iterable[Message], asked: Asked) -> RoundReplies:
        """Add up the hosts' sums, which the server knows as soon as they arrive."""
        return join_replies(replies, asked.reporters, asked.num_weights)

    def facts(self) -> dict[str, Any] | None:
        """Nothing is said."""
        return None


class Leaving:
    """Which phones of a round leave secure aggregation at which step, where it is played without keys.

    Args:
        plan: of the round; phones leave as it says. None: before the first one.
    """

    def __init__(self, plan: RoundPlan | None = None) -> None:
        self._steps: dict[int, int] = {}
        if plan is not None:
            self._steps = dict.fromkeys(plan.reporters.tolist(), int(Step.DONE)) | dict(plan.leaves or {})

    @property
    def phones(self) -> NDArray[np.int64]:
        """All who were invited: int64 [phones], sorted."""
        return np.array(sorted(self._steps), np.int64)

    def without_vectors(self, asked: NDArray[np.int64], came: Iterable[NDArray[np.int64]]) -> None:
        """Those that were asked for a vector, and whose vector is in no answer, have left at that step at the latest.

        Args:
            asked: phones.
            came: phones of each answer.
        """
        for phone in set(asked.tolist()).difference(*(phones.tolist() for phones in came)):
            self._steps[phone] = min(self._steps[phone], int(Step.MASK))

    def count(self, terms: RoundTerms, phones: NDArray[np.int64], order: RunSecret) -> CountedRound:
        """Play a session of some of them; see `count_round`."""
        phones = np.sort(phones)
        steps = np.array([self._steps[phone] for phone in phones.tolist()], np.int64)
        return count_round(terms, phones, steps, order)


class SumsAlone(EachPhoneTold):
    """The same sums as with masks, modulo 2^64, without any mask: where all masks cancel, the sum is the same.

    So it hides nothing: a host that has one phone alone answers with that phone's vector. Phones that leave, and rounds
    that fail for it, are those of `secagg` under the same assumptions.

    Args:
        order: draws the order of the phones in the graph.
        assumptions: what a round has to withstand.
        noised: the form of the vectors, where phones add the noise.
        most_reports: of a round; for the size of vectors.
    """

    protocol = "arithmetic"

    def __init__(
        self,
        order: RunSecret,
        assumptions: Assumptions = USUAL_ASSUMPTIONS,
        noised: NoisedVectors | None = None,
        most_reports: int = 1,
    ) -> None:
        self._order, self._assumptions = order, assumptions
        self.noised, self._most_reports = noised, most_reports
        self._wrapped: int | None = None
        self._leaving = Leaving()
        self._terms = RoundTerms(0, 1, b"", phones=0, assumptions=assumptions)

    def begin(self, server_round: int, plan: RoundPlan, line: Line) -> NDArray[np.int64]:
        """Remember who leaves when; the others may train."""
        self._leaving = Leaving(plan)
        length, phones = length_of(self.noised, line.num_weights), len(self._leaving.phones)
        self._wrapped = None
        self._terms = RoundTerms(server_round, length, b"", phones=phones, assumptions=self._assumptions)
        counted = self._count()
        before = counted.failed_in is not None and counted.failed_in < Step.MASK
        return plan.reporters[:0] if before else plan.reporters

    def content(self, request: TrainRequest) -> RecordDict:
        """The request, with what phones are to add."""
        content = request.to_content()
        return content if self.noised is None else with_phone_noise(content, self.noised)

    def join(self, replies: Iterable[Message], asked: Asked) -> RoundReplies:
        """Add up the hosts' sums of vectors, and read the sum; a sum that must not be learnt is not looked at."""
        num_weights = asked.num_weights
        came = join_summed_replies(replies, asked.reporters, length_of(self.noised, num_weights))
        self._leaving.without_vectors(asked.reporters, [came.reported])
        counted = self._count()
        if counted.failure is not None:
            why: str | None = f"secure aggregation: {WHY_FAILED[counted.failure]}"
        else:
            why = asked.may_learn(came)
        if why is not None:
            return replace(came, total=came.total[:num_weights], not_summed=why)
        server_round = self._terms.server_round
        read = read_totals(came, came.total, num_weights, self.noised, server_round=server_round, is_whole=True)
        self._wrapped = read.wrapped
        return read

    def facts(self) -> dict[str, Any] | None:
        """What `secagg` would say, and how many coordinates of a noised sum have wrapped around."""
        counted = self._count()
        of_vectors = {} if self.noised is None else self.noised.facts(self._most_reports, self._wrapped, is_whole=True)
        invited = len(self._leaving.phones)
        facts = facts_of(self.protocol, self._terms, counted.took, invited=invited, failed=counted.failure)
        return {**facts, **of_vectors}

    def _count(self) -> CountedRound:
        return self._leaving.count(self._terms, self._leaving.phones, self._order)


def length_of(noised: NoisedVectors | None, num_weights: int) -> int:
    """Numbers of a vector.

    Args:
        noised: the form of the vectors, where phones add the noise.
        num_weights: of the model.
    """
    return num_weights + TAIL if noised is None else noised.length


def facts_of(
    protocol: str,
    terms: RoundTerms,
    took: Mapping[Step, int],
    *,
    invited: int,
    failed: str | None,
    refused: int = 0,
) -> dict[str, Any]:
    """What the record of a round says of its protocol: the graph, the phones that took each step, what went wrong.

    Args:
        protocol: its name.
        terms: of the round.
        took: phones that took each step.
        invited: phones that might have.
        failed: the cause, if there is no sum.
        refused: messages that were.
    """
    names = ("neighbours", "threshold", "least_survivors")
    try:
        size = terms.graph_size(took.get(Step.ADVERTISE, 0))
        graph: dict[str, int | None] = {name: getattr(size, name) for name in names}
    except ConfigError:
        graph = dict.fromkeys(names)
    steps = {step.word: took.get(step, 0) for step in terms.steps()}
    return {"protocol": protocol, **graph, "took": {"invited": invited, **steps}, "refused": refused, "failed": failed}
