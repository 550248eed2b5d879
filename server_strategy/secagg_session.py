"""The server's part in one session of secure aggregation among phones, as far as it needs no host: who says what when.

A round has one session of all its phones, or one for each bucket of them. `secagg_rounds` carries the messages.
"""

from collections.abc import Mapping
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from server_strategy.aggregation.failures import FailureCause, RoundFailedError
from server_strategy.aggregation.keys import RunSecret
from server_strategy.aggregation.server import Server
from server_strategy.aggregation.terms import RoundTerms, Step
from server_strategy.protocol_of_sums import StepRequest


class Session:
    """One session, step by step; once it has failed, nobody takes a step any more.

    Args:
        terms: of the session.
        phones: that are invited, in ascending order.
        leaves: phones that leave in the simulated world, by the step that they do not take; of any session.
        order: draws the order of the phones in the graph.

    Attributes:
        phones: that are invited, in ascending order.
        took: phones that took each step, by its word.
        failed: why there is no sum; None while there may be one.
    """

    def __init__(self, terms: RoundTerms, phones: list[int], leaves: Mapping[int, int], order: RunSecret) -> None:
        self.terms, self.phones = terms, phones
        self.took: dict[str, int] = {}
        self._invited = frozenset(phones)
        self.failed: FailureCause | Literal["no_sum"] | None = None
        self._server, self._leaves = Server(terms, phones, order), leaves
        self._heard: dict[int, tuple[bytes, ...]] = {}

    def __contains__(self, phone: int) -> bool:
        return phone in self._invited

    @property
    def refused(self) -> int:
        """Messages of phones that the server refused."""
        return sum(self._server.refused.values())

    def staying(self, step: Step) -> NDArray[np.int64]:
        """Who takes a step, of those that may; the others leave in the simulated world."""
        if self.failed is not None:
            return np.zeros(0, np.int64)
        phones = [p for p in self._server.expected_phones() if self._leaves.get(p, Step.DONE) > step]
        return np.array(phones, np.int64)

    def hear(self, only_staying: Step | None = None) -> None:
        """Have those who may take the current step hear what the server has for them.

        Args:
            only_staying: those alone who take this step; None: all of them.
        """
        if self.failed is not None:
            return
        phones = self._server.expected_phones() if only_staying is None else self.staying(only_staying).tolist()
        for phone in phones:
            self._heard[phone] = (*self._heard.get(phone, ()), self._server.message_to(phone))

    def asked(self, phones: NDArray[np.int64]) -> StepRequest:
        """What these phones have heard so far, for the host that has them."""
        heard = tuple(self._heard.get(phone, ()) for phone in phones.tolist())
        return StepRequest(terms=self.terms, phones=phones, heard=heard)

    def receive(self, phone: int, said: bytes) -> bool:
        """Take a phone's message of the current step; returns whether it was taken."""
        return self._server.receive(phone, said)

    def receive_masked(self, phones: NDArray[np.int64], total: NDArray[np.int64]) -> None:
        """Take the sum of these phones' masked vectors, int64 [length] modulo 2^64, and end the step."""
        if self.failed is None and len(phones):
            self._server.receive_masked(phones.tolist(), total.view(np.uint64).astype(self.terms.ring.dtype))
        self.end(Step.MASK, len(phones))

    def end(self, step: Step, taken: int) -> None:
        """End the current step; too few phones may have taken it.

        Args:
            step: the current one.
            taken: messages of phones that the server took.
        """
        if self.failed is not None:
            return
        self.took[step.word] = taken
        try:
            self._server.close()
        except RoundFailedError as error:
            self.failed = error.cause

    def total(self) -> NDArray[np.int64]:
        """The sum of the vectors, int64 [length]; after the last step."""
        return self.terms.ring.decode(self._server.sum())
