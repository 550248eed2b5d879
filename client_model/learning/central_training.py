"""Training on a corpus in one place: a starting point for the phones, made from public text.

Plain SGD over all sequences of the corpus in random order, with the step size falling to nothing, in the
same way that trains a phone. Kept within one thread, the same corpus and seed give the same weights.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from client_model.config import TENSORFLOW, Kernel
from client_model.keyed_random import generator
from client_model.learning.language_model import ModelShape, Weights, flatten, unflatten
from client_model.learning.trainers import make_trainer
from client_model.text.batches import last_sequences, pack
from client_model.text.population import Population
from typefleet.steps import step

_BATCH_SIZE = 16  # sequences
_AT_ONCE = 64 * _BATCH_SIZE  # sequences between two changes of the step size
_EVERY_SEQUENCE = 2**31


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
    kernel: Kernel = TENSORFLOW,
    phones: Sequence[int] | None = None,
    passes: Sequence[float] | None = None,
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
        kernel: that trains.
        phones: whose text it is; everybody's if not given.
        passes: over the text of each of them, times `epochs`; a part of a pass is over so many of its sequences,
            drawn at random. One each if not given.
        progress: told the share that is done and the loss of a token in nats, as it goes.
        name: of this step, to whoever shows progress.

    Returns:
        Trained weights, float32.
    """
    length = shape.sequence_length
    read = range(population.num_phones) if phones is None else phones
    inputs, targets, lengths, sizes = _text_of(population, lookup, read, length)
    rng = generator(seed, "central training")
    order = np.concatenate([one_pass(sizes, passes, rng) for _ in range(epochs)])
    starts = np.concatenate([[0], np.cumsum(lengths)])
    trainer, flat = make_trainer(shape, max_gradient_norm, kernel), flatten(weights)
    with step(name, len(order)) as training:
        for begin in range(0, len(order), _AT_ONCE):
            chosen = order[begin : begin + _AT_ONCE]
            pairs = np.concatenate([np.arange(starts[i], starts[i + 1]) for i in chosen])
            batch = np.arange(len(chosen)) // _BATCH_SIZE
            rows = np.arange(len(chosen))
            batches = pack(
                inputs[pairs], targets[pairs], lengths[chosen], order=rows, batch=batch, sequence_length=length
            )
            done = begin / len(order)
            result = trainer.train(trainer.load(unflatten(flat, shape)), batches, learning_rate * (1 - done))
            flat = flat + result.update
            training.reached(begin + len(chosen), f"loss {result.loss_sum / result.num_tokens:.3f}")
            if progress is not None:
                progress((begin + len(chosen)) / len(order), result.loss_sum / result.num_tokens)
    return unflatten(flat, shape)


def _text_of(
    population: Population, lookup: NDArray[np.int32], phones: Sequence[int], length: int
) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any], list[int]]:
    """(inputs [pairs], targets [pairs], lengths [sequences], sequences of each phone), one phone after another."""
    parts = [last_sequences(population, lookup, phone, _EVERY_SEQUENCE, length) for phone in phones]
    inputs, targets, lengths = (np.concatenate(column) for column in zip(*parts, strict=True))
    return inputs, targets, lengths, [len(part[2]) for part in parts]


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
