"""What the phones of a message come to where the server is to learn sums alone."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from client_model.learning.local_training import LocalResult
from server_strategy.aggregation.failures import ProtocolViolation
from server_strategy.aggregation.vector import TAIL, PhoneFigures, tail_of
from server_strategy.protocol import HostProfile
from server_strategy.protocol_of_sums import SummedReply
from server_strategy.update_sum import FixedPointSum, NonFiniteUpdateError
from simulation.engine.phone_steps import Masks


@dataclass
class SummedShard:
    """The sum of the phones' vectors so far, see `aggregation.vector`, and who is in it."""

    total: FixedPointSum
    tail: NDArray[np.int64] = field(default_factory=lambda: np.zeros(TAIL, np.int64))
    phones: list[int] = field(default_factory=list)
    rejected: list[int] = field(default_factory=list)
    failures: dict[int, str] = field(default_factory=dict)  # the cause, by phone

    def add(self, phone: int, result: LocalResult | str, weight: float) -> None:
        """Add a phone's vector, or say why it is left out."""
        if isinstance(result, str):
            self.failures[phone] = result
            return
        try:
            norm = self.total.add(result.update, weight)
        except NonFiniteUpdateError:
            self.rejected.append(phone)
            return
        below = norm <= self.total.clip_norm
        self.tail += tail_of(PhoneFigures(norm, result.loss_sum, result.num_tokens, below))
        self.phones.append(phone)

    def vector(self) -> NDArray[np.int64]:
        """The sum: int64 [num_weights + TAIL], modulo 2^64."""
        return np.concatenate([self.total.values, self.tail])

    def reply(self, profile: HostProfile | None) -> SummedReply:
        """The answer of the host."""
        return SummedReply(
            total=self.vector(),
            phones=np.array(self.phones, np.int64),
            rejected=np.array(self.rejected, np.int64),
            failed=np.array(list(self.failures), np.int64),
            failure_causes=tuple(self.failures.values()),
            profile=profile,
        )


class MaskedShard:
    """The same under masks: each phone's vector is a sum of its own, and masked before anything is added to it."""

    def __init__(self, empty: Callable[[], FixedPointSum], masks: Masks) -> None:
        self._empty, self._masks = empty, masks
        self._total = masks.terms.ring.zeros(masks.terms.length)
        self._who = SummedShard(empty())

    def add(self, phone: int, result: LocalResult | str, weight: float) -> None:
        """Add a phone's masked vector, or say why it is left out."""
        own = SummedShard(self._empty())
        own.add(phone, result, weight)
        self._who.rejected += own.rejected
        self._who.failures |= own.failures
        if not own.phones:
            return
        try:
            self._total += self._masks.masked(phone, own.vector())
        except ProtocolViolation as error:
            self._who.failures[phone] = f"secure aggregation: {error.cause}"
            return
        self._who.phones.append(phone)

    def reply(self, profile: HostProfile | None) -> SummedReply:
        """The answer of the host."""
        words = self._masks.terms.ring.reduce(self._total).astype(np.uint64)
        return replace(self._who.reply(profile), total=words.view(np.int64))
