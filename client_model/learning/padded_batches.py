"""Batches of one shape: what several phones that are trained at once are given, and how many of them there are.

A packed batch (see `client_model.text.batches`) is as long as its tokens are many. Here each has N = T B places, a row
for each of B sentences and a column for each of T steps, step after step; what a phone does not fill is left out by a
mask. So all phones' batches have one shape, whichever phones they are, and no product's size depends on any of them.
"""

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from client_model.config import Device
from client_model.keyed_random import generator
from client_model.learning.cells.base import HandWrittenPasses
from client_model.learning.language_model import ModelShape
from client_model.text.batches import PackedBatches, pack
from typefleet.errors import ConfigError, expected

_VECTOR = 16  # float32 numbers of the widest registers of a processor
_BYTES = 4  # of a float32, and of an int32
_MEMORY_BYTES = 2 << 30  # of all phones at a time, by default
_MOST_PHONES = 64  # by default: products of more fill no accelerator better
_COPIES_OF_WEIGHTS = 4  # before and after a step, their gradients, and what is added up to them or is the update
_COPIES_OF_ACTIVATIONS = 4  # of each column of a cell's products: what the backward pass reads, and its gradients


@dataclass(frozen=True)
class Group:
    """What is trained at once, and where; all of it decides the last bits of a result.

    Attributes:
        phones: P, places for phones; empty ones cost as much as others.
        batch_size: sentences of a batch at most.
        device: where.
    """

    phones: int
    batch_size: int
    device: Device

    @property
    def rows(self) -> int:
        """B, places for sentences: on a processor a multiple of 16.

        Its functions compute 16 numbers at once and what is left over one by one, and round those differently: the
        left over would be the last phone's.
        """
        return -(-self.batch_size // _VECTOR) * _VECTOR if self.device == "cpu" else self.batch_size


class PaddedBatches(NamedTuple):
    """The batches of one phone; S batches of N = T B places, step after step, V words."""

    inputs: NDArray[np.int32]  # [S, N], 0 where no token is
    targets: NDArray[np.int32]  # [S, N], likewise
    step_rows: NDArray[np.int32]  # [S, T], rows still running at each step
    places: NDArray[np.int32]  # [S, V], a place of each word among the inputs and targets; 2 N: it is at none


def padded(batches: PackedBatches, rows: int, vocabulary_size: int) -> PaddedBatches:
    """Give packed batches one shape.

    Args:
        batches: of one phone.
        rows: B, of each batch at most.
        vocabulary_size: V.

    Raises:
        ConfigError: a batch has more rows, or a token is none of the vocabulary.
    """
    count, steps = batches.step_rows.shape
    most = int(batches.step_rows.max(initial=0))
    if most > rows:
        raise ConfigError(expected("a batch", f"{rows} rows at most", most))
    both = np.zeros((2, count, steps, rows), np.int32)
    there = np.arange(rows) < batches.step_rows[:, :, None]  # [S, T, B], in the order in which tokens are packed
    both[:, there] = batches.inputs, batches.targets
    if both.min(initial=0) < 0 or both.max(initial=0) >= vocabulary_size:
        raise ConfigError(expected("a token", f"a number from 0 to {vocabulary_size - 1}", "another"))
    inputs, targets = both.reshape(2, count, steps * rows)  # [S, N] each
    words = np.concatenate([inputs, targets], 1)  # [S, 2 N]
    places = np.full((count, vocabulary_size), words.shape[1], np.int32)  # [S, V]
    np.put_along_axis(places, words, np.arange(words.shape[1], dtype=np.int32)[None, :], 1)
    return PaddedBatches(inputs, targets, batches.step_rows, places)


def bytes_per_phone(shape: ModelShape, rows: int) -> int:
    """About the memory that one phone takes while several are trained at once.

    Its weights, their gradients and its update, logits and softmax [N, V], and what the cell keeps of each token: the
    columns of its products, and its state where that is wider. A cell without passes of its own has its weights'
    gradient once a step.
    """
    tokens = shape.sequence_length * rows  # N
    of_cell = [w.shape for w in shape.cell.weights(shape.cell_sizes).values()]
    columns = sum(dims[1] for dims in of_cell if len(dims) == 2)
    numbers = _COPIES_OF_WEIGHTS * shape.num_weights + 2 * tokens * shape.vocabulary_size + (2 * tokens) ** 2
    numbers += _COPIES_OF_ACTIVATIONS * tokens * columns
    if not isinstance(shape.cell, HandWrittenPasses):
        numbers += shape.sequence_length * sum(math.prod(dims) for dims in of_cell)
        numbers += 2 * tokens * sum(shape.state_sizes.values())
    return _BYTES * numbers


def phones_that_fit(shape: ModelShape, rows: int, most: int) -> int:
    """How many phones are trained at once where no setting says it: as many as fit into 2 GiB, at most 64.

    No machine's memory decides it, since the last bits of a result may depend on it.

    Args:
        shape: of the model.
        rows: B, of a batch at most.
        most: phones of a round; more places would be empty.
    """
    return max(1, min(_MEMORY_BYTES // bytes_per_phone(shape, rows), most, _MOST_PHONES))


def probe(shape: ModelShape, rows: int) -> PackedBatches:
    """Two batches of random words and lengths, the first of as many rows as there may be."""
    rng = generator(0, "probe of a group")
    lengths = rng.integers(1, shape.sequence_length + 1, rows + max(1, rows // 2))
    inputs, targets = rng.integers(0, shape.vocabulary_size, (2, int(lengths.sum())), np.int32)
    order = np.arange(len(lengths))
    return pack(inputs, targets, lengths, order=order, batch=order // rows, sequence_length=shape.sequence_length)
