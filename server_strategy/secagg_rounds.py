"""Secure aggregation in the rounds of the strategy: its steps as exchanges with the hosts.

    before training   advertise, share        two exchanges
    training          the masked vectors, which each host adds up for its phones
    after training    confirm, unmask         two exchanges, and the masks are taken off the sum

The server's part is `aggregation.server`. What passes through here are public keys, sealed shares, sums of masked
vectors, and the shares that unmask the sum of all: no vector of a single phone, and no key that would unmask one.
"""

import itertools
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from logging import WARNING, getLogger
from typing import Any

import numpy as np
from flwr.app import Message, MessageType, RecordDict
from numpy.typing import NDArray

from server_strategy.aggregation.departures import WHY_FAILED
from server_strategy.aggregation.graph import USUAL_ASSUMPTIONS, Assumptions
from server_strategy.aggregation.keys import RunSecret
from server_strategy.aggregation.noised_vectors import NoisedVectors
from server_strategy.aggregation.terms import RoundTerms, Step
from server_strategy.aggregation.vector import SumError, ring_for
from server_strategy.aggregators import (
    Asked,
    Exchange,
    Line,
    facts_of,
    length_of,
    send_and_receive,
)
from server_strategy.cohorts import RoundPlan
from server_strategy.protocol import TrainRequest
from server_strategy.protocol_of_sums import STEP_ACTION, StepReply, with_phone_noise
from server_strategy.round_replies import RoundReplies, join_summed_replies, read_totals
from server_strategy.secagg_session import Session
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
        self._sessions: list[Session] = []
        self._refused: Counter[str] = Counter()

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
        self._last_round, self._line, self._refused = server_round, line, Counter()
        leaves, length = dict(plan.leaves or {}), length_of(self.noised, line.num_weights)
        invited = np.array(sorted({*plan.reporters.tolist(), *leaves}), np.int64)
        self._sessions = []
        for own in self._dealt(server_round, invited):
            phones = sorted(own.tolist())
            terms = RoundTerms(
                *(server_round, length, self._authority, self._ring, self._assumptions), phones=len(phones)
            )
            self._sessions.append(Session(terms, phones, leaves, self._order))
        for step in (Step.ADVERTISE, Step.SHARE):
            self._take(step)
        for session in self._sessions:
            session.hear()
        return np.sort(np.concatenate([session.staying(Step.MASK) for session in self._sessions]))

    def _dealt(self, server_round: int, phones: NDArray[np.int64]) -> list[NDArray[np.int64]]:
        """The phones of each session of a round."""
        return [phones]

    def groups(self) -> Sequence[NDArray[np.int64]] | None:
        """All phones may be added up with each other."""
        return None

    def content(self, request: TrainRequest) -> RecordDict:
        """The request, with what the phones have heard of each other, and what they are to add."""
        first = int(request.phones[0])
        (session,) = (one for one in self._sessions if first in one)
        content = session.asked(request.phones).to_content(request.to_content())
        return content if self.noised is None else with_phone_noise(content, self.noised)

    def join(self, replies: Iterable[Message], asked: Asked) -> RoundReplies:
        """Add up the masked sums, and have the phones that are left take the masks off the sum of all.

        `asked.may_learn` is asked before any phone is asked for a share that takes a mask off.
        """
        num_weights = asked.num_weights
        came = join_summed_replies(replies, asked.reporters, length_of(self.noised, num_weights))
        (session,) = self._sessions
        session.receive_masked(came.reported, came.total)
        if session.failed is None and (why := self._unmask(lambda: asked.may_learn(came))) is not None:
            return replace(came, total=came.total[:num_weights], not_summed=why)
        if session.failed is None:
            try:
                total = session.total()
                return read_totals(came, total, num_weights, self.noised, server_round=self._last_round, is_whole=False)
            except SumError as error:
                _LOG.log(WARNING, "%s", error)
                session.failed = "no_sum"
        hidden = session.failed == "too_few_unmasked"  # while shares that do not fit may yet be put right
        why = f"secure aggregation: {WHY_FAILED[session.failed]}"
        return replace(came, total=came.total[:num_weights], not_summed=why, stayed_hidden=hidden)

    def _unmask(self, may_learn: Callable[[], str | None]) -> str | None:
        """The steps after the vectors are there; returns why the masks have to stay on, None if they need not.

        Args:
            may_learn: is asked before any phone is asked for a share that takes a mask off.
        """
        for step in (Step.CONFIRM, Step.UNMASK):
            if step is Step.CONFIRM and not self._assumptions.check_views:
                continue
            if all(session.failed is not None for session in self._sessions):
                return None
            if step is Step.UNMASK and (why := may_learn()) is not None:
                return why
            for session in self._sessions:
                session.hear()
            self._take(step)
        return None

    def facts(self) -> dict[str, Any] | None:
        """The graph, the phones that took each step, refused messages, and why the round failed, if it did."""
        (session,) = self._sessions
        took = {Step[word.upper()]: number for word, number in session.took.items()}
        facts = facts_of(
            self.protocol,
            session.terms,
            took,
            invited=len(session.phones),
            failed=session.failed,
            refused=self._messages_refused(),
        )
        of_vectors = {} if self.noised is None else self.noised.facts(self._most_reports, None, is_whole=False)
        return {**facts, **of_vectors}

    def _messages_refused(self) -> int:
        return sum(self._refused.values()) + sum(session.refused for session in self._sessions)

    # Steps ----------------------------------------------------------------------------------------

    def _take(self, step: Step) -> None:
        """One exchange for all sessions: what the server has for each phone, and what each answers."""
        line = self._line
        if line is None:
            raise RuntimeError(expected("a step", "a round that began", "none"))
        if step is Step.SHARE:
            for session in self._sessions:
                session.hear(only_staying=step)
        taking = [(session, session.staying(step)) for session in self._sessions]
        whose = {phone: session for session, phones in taking for phone in phones.tolist()}
        taken = Counter[int]()
        if whose:
            asked = np.array(sorted(whose), np.int64)
            for reply in self._exchange(line.grid, self._messages(line, taking), line.timeout_s):
                if reply.has_error():
                    _LOG.log(WARNING, "a host failed, its phones leave the round: %s", reply.error.reason)
                    continue
                answer = StepReply.from_message(reply, asked)
                for phone, said in zip(answer.phones.tolist(), answer.said, strict=True):
                    taken[id(whose[phone])] += whose[phone].receive(phone, said)
                self._refused.update(answer.refused)
        for session in self._sessions:
            session.end(step, taken[id(session)])

    def _messages(self, line: Line, taking: Sequence[tuple[Session, NDArray[np.int64]]]) -> list[Message]:
        """About one message a node, each with phones of one session."""
        nodes, found = itertools.cycle(line.nodes), []
        phones_in_all = sum(len(phones) for _, phones in taking)
        for session, phones in taking:
            if not len(phones):
                continue
            share = max(1, round(len(line.nodes) * len(phones) / phones_in_all))
            for some in np.array_split(phones, min(share, len(phones))):
                content = session.asked(some).to_content()
                found.append(Message(content, dst_node_id=next(nodes), message_type=_STEP, ttl=line.timeout_s))
        return found
