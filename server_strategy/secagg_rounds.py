"""Secure aggregation in the rounds of the strategy: its steps as exchanges with the hosts.

    before training   advertise, share        two exchanges
    training          the masked vectors, which each host adds up for its phones
    after training    confirm, unmask         two exchanges, and the masks are taken off the sum

The server's part is `aggregation.server`. What passes through here are public keys, sealed shares, sums of masked
vectors, and the shares that unmask the sum of all: no vector of a single phone, and no key that would unmask one.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from logging import WARNING, getLogger
from typing import Any, Literal

import numpy as np
from flwr.app import Message, MessageType, RecordDict
from numpy.typing import NDArray

from server_strategy.aggregation.departures import WHY_FAILED
from server_strategy.aggregation.failures import FailureCause, RoundFailedError
from server_strategy.aggregation.graph import USUAL_ASSUMPTIONS, Assumptions
from server_strategy.aggregation.keys import RunSecret
from server_strategy.aggregation.noised_vectors import NoisedVectors
from server_strategy.aggregation.server import Server
from server_strategy.aggregation.terms import RoundTerms, Step
from server_strategy.aggregation.vector import SumError, ring_for
from server_strategy.aggregators import (
    Exchange,
    Line,
    MayLearn,
    facts_of,
    learn_any,
    length_of,
    send_and_receive,
)
from server_strategy.cohorts import RoundPlan
from server_strategy.protocol import TrainRequest
from server_strategy.protocol_of_sums import STEP_ACTION, StepReply, StepRequest, with_phone_noise
from server_strategy.round_replies import RoundReplies, join_summed_replies, read_totals
from typefleet.errors import expected

_LOG = getLogger("typefleet")
_STEP = f"{MessageType.QUERY}.{STEP_ACTION}"


class SecAgg:
    """The server learns the sum of a round's vectors alone; an `aggregators.Aggregator`.

    Args:
        authority: public key of who certifies phones.
        order: draws the order of the phones in the graph; the server's own.
        most_reports: of a round, by which the ring is chosen.
        assumptions: what a round has to withstand.
        exchange: sends messages to hosts and gathers their answers.
        noised: the form of the vectors, where phones add the noise.
    """

    protocol = "secagg"
    gives_sum = True

    def __init__(
        self,
        authority: bytes,
        order: RunSecret,
        *,
        most_reports: int,
        assumptions: Assumptions = USUAL_ASSUMPTIONS,
        exchange: Exchange = send_and_receive,
        noised: NoisedVectors | None = None,
    ) -> None:
        self._authority, self._order, self._assumptions = authority, order, assumptions
        self.noised, self._most_reports = noised, most_reports
        self._ring = ring_for(most_reports) if noised is None else noised.ring(most_reports)
        self._exchange = exchange
        self._last_round = -1  # that began
        self._line: Line | None = None
        self._heard: dict[int, tuple[bytes, ...]] = {}
        self._took: dict[str, int] = {}
        self._invited = 0
        self._leaves: dict[int, int] = {}
        self._refused: Counter[str] = Counter()
        self._failed: FailureCause | Literal["no_sum"] | None = None

    def begin(self, server_round: int, plan: RoundPlan, line: Line) -> NDArray[np.int64]:
        """Have the phones exchange keys and shares; those that did may train.

        Raises:
            ValueError: a round of this number or a later one has begun: under the same keys, two tries of a round that
                other phones leave could together give away both secrets of a phone.
        """
        if server_round <= self._last_round:
            raise ValueError(
                expected("server_round", f"a number above {self._last_round}, for keys of its own", server_round)
            )
        self._last_round = server_round
        length = length_of(self.noised, line.num_weights)
        self._line, self._heard, self._took, self._failed = line, {}, {}, None
        self._refused = Counter()
        self._leaves = dict(plan.leaves or {})
        phones = sorted({*plan.reporters.tolist(), *self._leaves})
        self._invited = len(phones)
        self._terms = RoundTerms(
            *(server_round, length, self._authority, self._ring, self._assumptions), phones=self._invited
        )
        self._server = Server(self._terms, phones, self._order)
        try:
            self._take(Step.ADVERTISE)
            self._take(Step.SHARE)
        except RoundFailedError as error:
            self._failed = error.cause
            return np.zeros(0, np.int64)
        for phone in self._server.expected_phones():
            self._hear(phone)
        return self._staying(Step.MASK)

    def groups(self) -> None:
        """All phones may be added up with each other."""
        return

    def content(self, request: TrainRequest) -> RecordDict:
        """The request, with what the phones have heard of each other, and what they are to add."""
        content = self._step_of(request.phones).to_content(request.to_content())
        return content if self.noised is None else with_phone_noise(content, self.noised)

    def join(
        self,
        replies: Iterable[Message],
        reporters: NDArray[np.int64],
        num_weights: int,
        may_learn: MayLearn = learn_any,
    ) -> RoundReplies:
        """Add up the masked sums, and have the phones that are left take the masks off the sum of all.

        `may_learn` is asked before any phone is asked for a share that takes a mask off.
        """
        came = join_summed_replies(replies, reporters, length_of(self.noised, num_weights))
        self._took[Step.MASK.word] = len(came.reported)
        hidden = False
        try:
            if self._failed is None:
                total = self._unmasked(came, may_learn)
                if isinstance(total, str):
                    return replace(came, total=came.total[:num_weights], not_summed=total)
                return read_totals(came, total, num_weights, self.noised, server_round=self._last_round, is_whole=False)
        except RoundFailedError as error:
            self._failed = error.cause
            hidden = error.cause == "too_few_unmasked"  # while shares that do not fit may yet be put right
        except SumError as error:
            _LOG.log(WARNING, "%s", error)
            self._failed = "no_sum"
        why = f"secure aggregation: {WHY_FAILED[self._failed]}"
        return replace(came, total=came.total[:num_weights], not_summed=why, stayed_hidden=hidden)

    def _unmasked(self, came: RoundReplies, may_learn: MayLearn) -> NDArray[np.int64] | str:
        """The sum of the vectors, int64 [length]; or why the masks have to stay on."""
        server, words = self._server, came.total.view(np.uint64).astype(self._ring.dtype)
        if len(came.reported):
            server.receive_masked(came.reported.tolist(), words)
        server.close()
        for step in (s for s in self._terms.steps() if s > Step.MASK):
            if step is Step.UNMASK and (why := may_learn(came)) is not None:
                return why
            for phone in server.expected_phones():
                self._hear(phone)
            self._take(step)
        return self._ring.decode(server.sum())

    def facts(self) -> dict[str, Any] | None:
        """The graph, the phones that took each step, refused messages, and why the round failed, if it did."""
        refused = sum(self._refused.values()) + sum(self._server.refused.values())
        took = {Step[word.upper()]: number for word, number in self._took.items()}
        facts = facts_of(self.protocol, self._terms, took, invited=self._invited, failed=self._failed, refused=refused)
        of_vectors = {} if self.noised is None else self.noised.facts(self._most_reports, None, is_whole=False)
        return {**facts, **of_vectors}

    def _staying(self, step: Step) -> NDArray[np.int64]:
        """Who takes a step, of those that may; the others leave in the simulated world."""
        phones = [p for p in self._server.expected_phones() if self._leaves.get(p, Step.DONE) > step]
        return np.array(phones, np.int64)

    # Steps ----------------------------------------------------------------------------------------

    def _hear(self, phone: int) -> None:
        self._heard[phone] = (*self._heard.get(phone, ()), self._server.message_to(phone))

    def _step_of(self, phones: NDArray[np.int64]) -> StepRequest:
        heard = tuple(self._heard.get(phone, ()) for phone in phones.tolist())
        return StepRequest(terms=self._terms, phones=phones, heard=heard)

    def _take(self, step: Step) -> None:
        """One exchange: what the server has for each phone, and what each answers.

        Raises:
            RoundFailedError: too few did.
        """
        server, line = self._server, self._line
        phones = self._staying(step)
        if step is Step.SHARE:
            for phone in phones.tolist():
                self._hear(phone)
        taken = 0
        if line is not None and len(phones):
            for reply in self._exchange(line.grid, self._messages(line, phones), line.timeout_s):
                if reply.has_error():
                    _LOG.log(WARNING, "a host failed, its phones leave the round: %s", reply.error.reason)
                    continue
                answer = StepReply.from_message(reply, phones)
                taken += sum(map(server.receive, answer.phones.tolist(), answer.said))
                self._refused.update(answer.refused)
        self._took[step.word] = taken
        server.close()

    def _messages(self, line: Line, phones: NDArray[np.int64]) -> list[Message]:
        shards = np.array_split(phones, min(len(line.nodes), len(phones)))
        return [
            Message(self._step_of(some).to_content(), dst_node_id=node, message_type=_STEP, ttl=line.timeout_s)
            for some, node in zip(shards, line.nodes, strict=False)
        ]
