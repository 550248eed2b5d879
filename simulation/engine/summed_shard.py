"""What the phones of a message come to where the server is to learn sums alone."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from client_model.learning.trainers import LocalResult
from server_strategy.aggregation.failures import ProtocolViolation
from server_strategy.aggregation.vector import TAIL, PhoneFigures, tail_of
from server_strategy.privacy.distributed_noise.vectors_digest import added_digests, vector_digest
from server_strategy.protocol import HostProfile
from server_strategy.protocol_of_sums import SummedReply
from server_strategy.update_sum import FixedPointSum
from simulation.engine.noised_phones import NoisedPhones
from simulation.engine.phone_steps import Masks
from simulation.engine.shard import Shard


@dataclass(frozen=True)
class NoisedRound:
    """The phones of a round that add the noise themselves."""

    phones: NoisedPhones
    server_round: int
    empty: Callable[[], FixedPointSum]  # for the update of one

    def numbers(self, phone: int, update: NDArray[np.float32], weight: float) -> tuple[NDArray[np.int64], float]:
        """(what a phone adds up, before any modulus: int64 [numbers]; the norm of its update before clipping).

        Raises:
            NonFiniteUpdateError: the update is not finite.
        """
        own = self.empty()
        norm = own.add(update, weight)
        return self.phones.numbers(own, self.server_round, phone), norm

    def digest(self, phone: int, vector: NDArray[np.int64]) -> bytes:
        """By which a phone's noised vector can be told to be the same again, and nothing else of it: 32 bytes."""
        return vector_digest(self.phones.key, self.server_round, phone, vector)


@dataclass
class SummedShard(Shard):
    """The sum of the phones' vectors so far, see `aggregation.vector`, and who is in it."""

    noised: NoisedRound | None = None  # None: the server adds the noise
    tail: NDArray[np.int64] = field(default_factory=lambda: np.zeros(TAIL, np.int64))
    digests: list[bytes] = field(default_factory=list)  # of noised vectors
    _numbers: NDArray[np.int64] = field(default_factory=lambda: np.zeros(1, np.int64))  # of noised updates

    def _take(self, phone: int, result: LocalResult, weight: float) -> None:
        if self.noised is None:
            numbers, norm = None, self.total.add(result.update, weight)
        else:
            numbers, norm = self.noised.numbers(phone, result.update, weight)
        tail = tail_of(PhoneFigures(norm, result.loss_sum, result.num_tokens, norm <= self.total.clip_norm))
        self.tail += tail
        if self.noised is not None and numbers is not None:
            self._numbers = self._numbers + numbers
            self.digests.append(self.noised.digest(phone, np.concatenate([numbers, tail])))

    def vector(self) -> NDArray[np.int64]:
        """The sum: int64 [length], modulo 2^64; of noised updates before any smaller modulus."""
        if self.noised is None:
            return np.concatenate([self.total.values, self.tail])
        size = self.noised.phones.form.noise.padded
        return np.concatenate([np.broadcast_to(self._numbers, size), self.tail])

    def reply(self, profile: HostProfile | None) -> SummedReply:
        """The answer of the host."""
        digest = None if self.noised is None else added_digests(self.digests)
        return SummedReply(**self.who(), total=self.vector(), vectors_digest=digest, profile=profile)


class MaskedShard:
    """The same under masks: each phone's vector is a sum of its own, and masked before anything is added to it."""

    def __init__(self, empty: Callable[[], FixedPointSum], masks: Masks, noised: NoisedRound | None = None) -> None:
        self._empty, self._masks, self._noised = empty, masks, noised
        self._total = masks.terms.ring.zeros(masks.terms.length)
        self._who = SummedShard(empty(), noised=noised)

    def add(self, phone: int, result: LocalResult | str, weight: float) -> None:
        """Add a phone's masked vector, or say why it is left out."""
        own = SummedShard(self._empty(), noised=self._noised)
        own.add(phone, result, weight)
        self._who.rejected += own.rejected
        self._who.failures |= own.failures
        if not own.phones:
            return
        vector = own.vector()
        if self._noised is not None:
            vector = self._noised.phones.form.within(vector)
        try:
            self._total += self._masks.masked(phone, vector)
        except ProtocolViolation as error:
            self._who.failures[phone] = f"secure aggregation: {error.cause}"
            return
        self._who.phones.append(phone)
        self._who.digests += own.digests

    def reply(self, profile: HostProfile | None) -> SummedReply:
        """The answer of the host."""
        words = self._masks.terms.ring.reduce(self._total).astype(np.uint64)
        return replace(self._who.reply(profile), total=words.view(np.int64))
