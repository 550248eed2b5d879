"""Training on a corpus in one place: a starting point for the phones, made from public text.

All sequences of the corpus in random order, with the step size falling to nothing, in the same kernel that trains a
phone. Kept within one thread, the same corpus and seed give the same weights.
"""

from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from client_model.keyed_random import generator
from client_model.learning.language_model import ModelShape, Weights, flatten, unflatten
from client_model.learning.local_training import LocalResult, LocalTrainer
from client_model.text.batches import PackedBatches, last_sequences, pack
from client_model.text.population import Population
from typefleet.steps import step

_EVERY_SEQUENCE = 2**31
_WARM_UP = 300  # steps of Adam, while its second moments are of few gradients
_FIRST_DECAY, _SECOND_DECAY, _EPSILON = 0.9, 0.99, 1e-8


class _Steps(Protocol):
    """Moves the weights by batches of sequences."""

    batch_size: int  # sequences
    batches_at_once: int  # between two changes of the step size

    def move(
        self, flat: NDArray[np.float32], batches: PackedBatches, rate: float
    ) -> tuple[NDArray[np.float32], LocalResult]:
        """(the weights after the batches, what training says of them)."""
        ...


class _Sgd:
    batch_size, batches_at_once = 16, 64

    def __init__(self, trainer: LocalTrainer) -> None:
        self._trainer = trainer

    def move(
        self, flat: NDArray[np.float32], batches: PackedBatches, rate: float
    ) -> tuple[NDArray[np.float32], LocalResult]:
        result = self._trainer.train(self._trainer.load(unflatten(flat, self._trainer.shape)), batches, rate)
        return flat + result.update, result


class _Adam:
    """Kingma and Ba, "Adam: a method for stochastic optimization", arXiv:1412.6980, Algorithm 1, after a warm-up."""

    batch_size, batches_at_once = 32, 1  # each step needs the gradient of one batch

    def __init__(self, trainer: LocalTrainer) -> None:
        self._sgd, self._steps = _Sgd(trainer), 0
        size = trainer.shape.num_weights
        self._first, self._second = np.zeros(size, np.float32), np.zeros(size, np.float32)

    def move(
        self, flat: NDArray[np.float32], batches: PackedBatches, rate: float
    ) -> tuple[NDArray[np.float32], LocalResult]:
        _, result = self._sgd.move(flat, batches, 1.0)
        gradient = -result.update  # a step of size 1
        self._steps += 1
        self._first += (1 - _FIRST_DECAY) * (gradient - self._first)
        self._second += (1 - _SECOND_DECAY) * (gradient * gradient - self._second)
        first = self._first / (1 - _FIRST_DECAY**self._steps)
        second = self._second / (1 - _SECOND_DECAY**self._steps)
        size = np.float32(rate * min(1.0, self._steps / _WARM_UP))
        return flat - size * first / (np.sqrt(second) + np.float32(_EPSILON)), result


def train_centrally(
    population: Population,
    lookup: NDArray[np.int32],
    shape: ModelShape,
    weights: Weights,
    *,
    epochs: int,
    learning_rate: float,
    max_gradient_norm: float,
    seed: int,
    phones: Sequence[int] | None = None,
    passes: Sequence[float] | None = None,
    adam: bool = False,
    progress: Callable[[float, float], None] | None = None,
    name: str = "central training",
) -> Weights:
    """Train on the whole text of a population, or of some of its phones.

    Args:
        population: the corpus; who wrote what plays no part.
        lookup: from the population's types to ids, int32 [types + 1].
        shape: of the model.
        weights: to start from.
        epochs: passes over the text, each in an order of its own.
        learning_rate: step size at the start; it falls linearly to 0.
        max_gradient_norm: a longer gradient is scaled down to it; 0 for no bound.
        seed: key of the order.
        phones: whose text it is; everybody's if not given.
        passes: over the text of each of them, times `epochs`; a part of a pass is over so many of its sequences,
            drawn at random. One each if not given.
        adam: steps of Adam instead of plain SGD.
        progress: told the share that is done and the loss of a token in nats, as it goes.
        name: of this step, to whoever shows progress.

    Returns:
        Trained weights, float32.
    """
    length = shape.sequence_length
    read = range(population.num_phones) if phones is None else phones
    parts = [last_sequences(population, lookup, phone, _EVERY_SEQUENCE, length) for phone in read]
    inputs, targets, lengths = (np.concatenate(column) for column in zip(*parts, strict=True))
    rng = generator(seed, "central training")
    sizes = [len(part[2]) for part in parts]
    order = np.concatenate([one_pass(sizes, passes, rng) for _ in range(epochs)])
    starts = np.concatenate([[0], np.cumsum(lengths)])
    trainer = LocalTrainer(shape, max_gradient_norm)
    steps: _Steps = _Adam(trainer) if adam else _Sgd(trainer)
    flat = flatten(weights)
    at_once = steps.batch_size * steps.batches_at_once
    with step(name, len(order)) as training:
        for begin in range(0, len(order), at_once):
            chosen = order[begin : begin + at_once]
            pairs = np.concatenate([np.arange(starts[i], starts[i + 1]) for i in chosen])
            batch = np.arange(len(chosen)) // steps.batch_size
            rows = np.arange(len(chosen))
            batches = pack(
                inputs[pairs], targets[pairs], lengths[chosen], order=rows, batch=batch, sequence_length=length
            )
            flat, result = steps.move(flat, batches, learning_rate * (1 - begin / len(order)))
            training.reached(begin + len(chosen), f"loss {result.loss_sum / result.num_tokens:.3f}")
            if progress is not None:
                progress((begin + len(chosen)) / len(order), result.loss_sum / result.num_tokens)
    return unflatten(flat, shape)


def one_pass(sizes: Sequence[int], passes: Sequence[float] | None, rng: np.random.Generator) -> NDArray[np.int64]:
    """Numbers of sequences in random order: int64 [sequences of the pass].

    Args:
        sizes: sequences of each part of the text.
        passes: over each of them; a part of a pass is over so many of its sequences, drawn at random. One each if None.
        rng: draws them, and the order.
    """
    if passes is None:
        return rng.permutation(sum(sizes))
    chosen = []
    for begin, size, times in zip(np.cumsum(sizes) - sizes, sizes, passes, strict=True):
        whole = int(times)
        part = rng.permutation(size)[: round((times - whole) * size)]
        chosen.append(begin + np.concatenate([np.tile(np.arange(size), whole), part]))
    return rng.permutation(np.concatenate(chosen))
