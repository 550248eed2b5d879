"""A whole round of secure aggregation in one process: every phone, the server, and what it costs each of them.

Example:
    >>> import numpy as np
    >>> vectors = {phone: np.array([phone, -1]) for phone in range(8)}
    >>> played = play_round(vectors, RunSecret(bytes(32)), leaves={3: Step.MASK, 5: Step.UNMASK})
    >>> played.sum.tolist(), played.survivors
    ([25, -7], (0, 1, 2, 4, 5, 6, 7))
"""

import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from server_strategy.aggregation.failures import Cause, FailureCause, ProtocolViolation, RoundFailedError
from server_strategy.aggregation.graph import USUAL_ASSUMPTIONS, Assumptions
from server_strategy.aggregation.keys import Authority, Identity, RunSecret
from server_strategy.aggregation.masks import FULL_RING, Ring, extremes
from server_strategy.aggregation.phone import Phone
from server_strategy.aggregation.server import Server
from server_strategy.aggregation.terms import RoundTerms, Step
from typefleet.errors import expected

Tamper = Callable[[Step, int, bytes], bytes]


@dataclass
class PhoneCosts:
    """What a round costs one phone, by step.

    Attributes:
        up_bytes, down_bytes: that it sends and hears.
        seconds: of processor time for its cryptography.
    """

    up_bytes: Counter[Step] = field(default_factory=Counter)
    down_bytes: Counter[Step] = field(default_factory=Counter)
    seconds: dict[Step, float] = field(default_factory=lambda: dict.fromkeys(Step, 0.0))


@dataclass
class PlayedRound:
    """What came of a round.

    Attributes:
        sum: of the survivors' vectors, int64; None if the round failed.
        failure: by which cause it failed, None if it did not.
        survivors: whose vectors are in the sum.
        costs: by phone.
        server_s: seconds of processor time that the server took to unmask.
        refused: messages that the server refused, by step and cause.
        refused_by_phones: messages, or parts of them, that phones refused, by step and cause.
    """

    sum: NDArray[np.int64] | None = None
    failure: FailureCause | None = None
    survivors: tuple[int, ...] = ()
    costs: dict[int, PhoneCosts] = field(default_factory=dict)
    server_s: float = 0.0
    refused: Counter[tuple[str, Cause]] = field(default_factory=Counter)
    refused_by_phones: Counter[tuple[str, Cause]] = field(default_factory=Counter)


def play_round(
    vectors: Mapping[int, NDArray[np.signedinteger[Any]]],
    secret: RunSecret,
    leaves: Mapping[int, Step] | None = None,
    *,
    server_round: int = 1,
    ring: Ring = FULL_RING,
    assumptions: Assumptions = USUAL_ASSUMPTIONS,
    tamper: Tamper | None = None,
    may_wrap: bool = False,
) -> PlayedRound:
    """Play one round.

    Args:
        vectors: int [length], by phone.
        secret: of the run.
        leaves: the step whose message a phone does not send any more, by phone; the others stay to the end.
        server_round: number of the round.
        ring: that the vectors are added in.
        assumptions: what the round has to withstand.
        tamper: what becomes of a phone's message on its way, from step, phone and message; nothing if None.
        may_wrap: the sum need not fit into the ring, as one with the phones' own noise in it (`distributed_noise`).

    Raises:
        ValueError: vectors of other than whole numbers, or of several lengths.
        RingOverflowError: the sum of so many vectors may not fit into the ring, and has to.
    """
    length = len(next(iter(vectors.values()), ()))
    if any(vector.shape != (length,) for vector in vectors.values()):
        raise ValueError(expected("vectors", "the same length", "different ones"))
    if not may_wrap:
        bounds = [bound for vector in vectors.values() for bound in extremes(vector)]
        ring.refuse_overflow(len(vectors), max(map(abs, bounds), default=0))
    authority = Authority.of(secret)
    terms = RoundTerms(server_round, length, authority.public, ring, assumptions, phones=len(vectors))
    server = Server(terms, list(vectors), secret)
    playing = _Play(terms, vectors, server)
    for number in vectors:
        playing.seat(authority.enrol(number, secret), secret)
    return playing.all_steps(leaves or {}, tamper)


class _Play:
    """One round, step by step."""

    def __init__(
        self,
        terms: RoundTerms,
        vectors: Mapping[int, NDArray[np.signedinteger[Any]]],
        server: Server,
    ) -> None:
        self._terms = terms
        self._phones: dict[int, Phone] = {}
        self._vectors = vectors
        self._server = server
        self._played = PlayedRound(costs={number: PhoneCosts() for number in vectors}, refused=server.refused)

    def seat(self, identity: Identity, secret: RunSecret) -> None:
        """Let a phone make its keys."""
        with processor_time(self._played.costs[identity.phone], Step.ADVERTISE):
            self._phones[identity.phone] = Phone(identity, self._terms, secret)

    def all_steps(self, leaves: Mapping[int, Step], tamper: Tamper | None) -> PlayedRound:
        try:
            for step in self._terms.steps():
                for number in self._server.expected_phones():
                    if leaves.get(number, Step.DONE) > step:
                        self._take_step(step, number, tamper)
                before = time.process_time()
                self._server.close()
                self._played.server_s += time.process_time() - before
        except RoundFailedError as error:
            self._played = replace(self._played, failure=error.cause)
        else:
            self._played.sum = self._terms.ring.decode(self._server.sum())
        self._played.survivors = self._server.survivors
        for phone in self._phones.values():
            for cause, count in phone.refused.items():
                self._played.refused_by_phones["opened", cause] += count
        return self._played

    def _take_step(self, step: Step, number: int, tamper: Tamper | None) -> None:
        """Let a phone answer; one that refuses what it hears leaves."""
        costs = self._played.costs[number]
        heard = b"" if step == Step.ADVERTISE else self._server.message_to(number)
        costs.down_bytes[step] += len(heard)
        try:
            with processor_time(costs, step):
                said = self._answer(step, number, heard)
        except ProtocolViolation as error:
            self._played.refused_by_phones[step.word, error.cause] += 1
            return
        costs.up_bytes[step] += len(said)
        self._server.receive(number, said if tamper is None else tamper(step, number, said))

    def _answer(self, step: Step, number: int, heard: bytes) -> bytes:
        phone = self._phones[number]
        match step:
            case Step.ADVERTISE:
                return phone.advertise()
            case Step.SHARE:
                return phone.share_keys(heard)
            case Step.MASK:
                phone.receive_shares(heard)
                words = self._terms.ring.encode(self._vectors[number])
                phone.mask(words)
                return phone.masked_input(words)
            case Step.CONFIRM:
                return phone.confirm(heard)
            case _:
                return phone.unmask(heard) if self._terms.assumptions.check_views else phone.confirm(heard)


@contextmanager
def processor_time(costs: PhoneCosts, step: Step) -> Iterator[None]:
    """Count the processor time of a block as a phone's in a step."""
    before = time.process_time()
    try:
        yield
    finally:
        costs.seconds[step] += time.process_time() - before
