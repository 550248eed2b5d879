"""Canaries: phones whose update is a direction that only they have, or nothing, by the toss of a coin.

Andrew et al., arXiv:2302.03098, Section 3: updates are random unit vectors, which in many dimensions are nearly
orthogonal, so that each can be looked for by itself. A canary that is in sends its direction, far longer than the clip
norm, so that it adds as much as anybody may. One that is out sends zeros, or fails; either way it takes part as before,
and so do all others. Phones that are no canaries send what the attacker knows of them: zeros, or one common update; or
they train, and send real ones.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from flwr.app import Message, MessageType, RecordDict
from numpy.typing import NDArray

from client_model.keyed_random import generator, purpose_key, uniform
from client_model.learning.trainers import LocalResult
from server_strategy.privacy.noise_key import NoiseKey
from server_strategy.protocol import TrainRequest
from server_strategy.protocol_of_sums import with_noise_key
from server_strategy.update_sum import FixedPointSum
from simulation.engine.noised_phones import noised_phones_of
from simulation.engine.shard import ToldShard
from simulation.engine.summed_shard import NoisedRound, SummedShard

WEIGHTS = "weights"  # the only array of the model that is played
LENGTH = 8.0  # of a canary's update, in clip norms: clipping has to cut it, and without it all could see
_ABSENT = "a canary that is out"


def random_direction(layer_sizes: Sequence[int], seed: int, phone: int) -> NDArray[np.float32]:
    """A random direction: float32 [sum of layer_sizes], of length 1, with the same length in each layer.

    Args:
        layer_sizes: weights of each layer.
        seed, phone: it is keyed by.
    """
    drawn = generator(seed, "direction of a canary", phone).standard_normal(sum(layer_sizes))
    layers = [layer / np.linalg.norm(layer) for layer in np.split(drawn, np.cumsum(layer_sizes)[:-1])]
    whole: NDArray[np.float32] = (np.concatenate(layers) / np.sqrt(len(layers))).astype(np.float32)
    return whole


@dataclass
class Canaries:
    """The canaries of one audit; a phone becomes one when it first takes part, as long as there is room.

    Attributes:
        layer_sizes: weights of each layer of an update. A direction has the same length in each of them.
        most: canaries, at most.
        seed: of directions and coins, each keyed by its phone.
        below: only phones with ids below it become canaries; None: any.
        share: of phones that may become canaries, each by a draw of its own.
        shared: the direction of all of them, float32 [dimension]; None: each has its own.
        phones: ids of the canaries, in the order in which they took part first.
        directions: of each, float32 [dimension], of length 1.
    """

    layer_sizes: Sequence[int]
    most: int
    seed: int
    below: int | None = None
    share: float = 1.0
    shared: NDArray[np.float32] | None = None
    phones: list[int] = field(default_factory=list)
    directions: list[NDArray[np.float32]] = field(default_factory=list)
    _rows: dict[int, int] = field(default_factory=dict)

    @property
    def dimension(self) -> int:
        """Weights of an update."""
        return sum(self.layer_sizes)

    def row_of(self, phone: int) -> int | None:
        """The place of a phone among the canaries, which it is given now if there is room; None if it is none."""
        if phone not in self._rows and len(self.phones) < self.most and self._may_be(phone):
            self._rows[phone] = len(self.phones)
            self.phones.append(phone)
            own = random_direction(self.layer_sizes, self.seed, phone) if self.shared is None else self.shared
            self.directions.append(own)
        return self._rows.get(phone)

    def _may_be(self, phone: int) -> bool:
        drawn = uniform(purpose_key(self.seed, "who may be a canary"), phone)
        return (self.below is None or phone < self.below) and bool(drawn < self.share)

    def is_in(self, phones: NDArray[np.int64]) -> NDArray[np.bool_]:
        """bool [phones]: the coins; each phone has its own, canary or not."""
        return np.asarray(uniform(purpose_key(self.seed, "coin of a canary"), phones) < 0.5)

    @property
    def included(self) -> NDArray[np.bool_]:
        """bool [canaries]: which are in."""
        return self.is_in(np.array(self.phones, np.int64))

    def matrix(self) -> NDArray[np.float32]:
        """float32 [canaries, dimension]: the directions."""
        return np.array(self.directions, np.float32).reshape(len(self.directions), self.dimension)


class Training(Protocol):
    """What makes real updates, as `played_training.PlayedTraining` does."""

    @property
    def start(self) -> NDArray[np.float32]:
        """The starting weights: float32 [dimension]."""

    def updates(
        self, flat: NDArray[np.float32], phones: NDArray[np.int64], number: int
    ) -> Iterator[NDArray[np.float32]]:
        """What each phone makes of the weights in a round."""


@dataclass
class CanaryHosts:
    """Answers what the strategy asks of hosts: clips and adds up as real hosts do, with canaries' updates.

    Attributes:
        canaries: among the phones.
        out_fails: a canary that is out fails, instead of sending zeros.
        common: what all phones send that are no canaries, float32 [dimension], in clip norms; None: zeros.
        noise: key of the noise that all phones add, as the phones of a run do; None where the server adds it.
        training: makes what phones send that are no canaries, in the place of `common`.
    """

    canaries: Canaries
    out_fails: bool
    common: NDArray[np.float32] | None = None
    noise: NoiseKey | None = None
    training: Training | None = None

    def answer(self, message: Message) -> Message:
        """What a host says to a message that asks to train."""
        request = TrainRequest.from_content(message.content)
        shard = self._shard(request, message.content)
        coins, of_others = self.canaries.is_in(request.phones), self._others(request)
        for phone, is_in in zip(request.phones.tolist(), coins.tolist(), strict=True):
            row = self.canaries.row_of(phone)
            update = of_others(phone) if row is None else self._of_canary(row, is_in, request.clip_norm)
            shard.add(phone, _ABSENT if update is None else LocalResult(update, 0.0, 0), request.update_weight)
        return Message(shard.reply(None).to_content(), dst_node_id=0, message_type=MessageType.TRAIN)

    def _shard(self, request: TrainRequest, content: RecordDict) -> ToldShard | SummedShard:
        """What phones are added to, as on hosts."""

        def empty() -> FixedPointSum:
            sizes = list(self.canaries.layer_sizes)
            return FixedPointSum(sum(sizes), request.clip_norm, sizes if request.clip_scope == "layer" else None)

        if self.noise is None:
            return ToldShard(empty())
        phones = noised_phones_of(with_noise_key(content, self.noise))
        noised = None if phones is None else NoisedRound(phones, request.server_round, empty)
        return SummedShard(empty(), noised=noised)

    def _others(self, request: TrainRequest) -> Callable[[int], NDArray[np.float32]]:
        """What a phone sends that is no canary, by its id: float32 [dimension]."""
        if (training := self.training) is not None:
            flat = request.arrays[WEIGHTS].numpy()
            return lambda phone: next(training.updates(flat, np.array([phone]), request.server_round))
        zeros = np.zeros(self.canaries.dimension, np.float32)
        sent = zeros if self.common is None else self.common * np.float32(request.clip_norm)
        return lambda phone: sent

    def _of_canary(self, row: int, is_in: bool, clip_norm: float) -> NDArray[np.float32] | None:
        """float32 [dimension]; None of one that fails."""
        if is_in:
            return self.canaries.directions[row] * np.float32(LENGTH) * np.float32(clip_norm)
        return None if self.out_fails else np.zeros(self.canaries.dimension, np.float32)
