"""Local SGD in C: the trainer that needs no TensorFlow, for the cells that the kernel has.

The same training as `client_model.learning.local_training`, within a relative 1e-4 of its updates: sums of float32 are
taken in another order. Its own bits depend on nothing but the text and the weights: not on the processor's
instructions, on phones trained before, or on how many rows a batch has.
"""

import mmap
import threading
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from client_model.learning.cells.cifg import Cifg
from client_model.learning.cells.gru import Gru
from client_model.learning.cells.lstm import Lstm
from client_model.learning.cells.stacked import Stacked
from client_model.learning.language_model import ModelShape, Weights, flatten
from client_model.learning.native import kernel
from client_model.learning.trainers import LocalResult
from client_model.text.batches import PackedBatches

_CELLS: Mapping[type, int] = {Cifg: 0, Stacked: 0, Gru: 1, Lstm: 2}  # numbered as in sizes.h
_FLOAT_BYTES = 4


def has_cell(shape: ModelShape) -> bool:
    """Whether the kernel has the model's cell."""
    return type(shape.cell) in _CELLS


class NativeTrainer:
    """A trainer (`client_model.learning.trainers.Trainer`) in C; make one per process and keep it."""

    def __init__(self, shape: ModelShape, max_gradient_norm: float = 0.0, variant: str | None = None) -> None:
        """For one model.

        Args:
            shape: of the model, whose cell the kernel has.
            max_gradient_norm: L2 norm that a step's longer gradient is scaled down to; 0 for no bound.
            variant: instructions to use, by name; the fastest that this machine has if not given.
        """
        self.shape, self._max_gradient_norm = shape, max_gradient_norm
        self._variant = kernel.variants()[0] if variant is None else variant
        layers = getattr(shape.cell, "layers", 1)
        self._sizes = (_CELLS[type(shape.cell)], layers, shape.vocabulary_size, shape.embedding_size, shape.units)
        self._memory = np.zeros(0, np.float32)
        self._one_at_a_time = threading.Lock()  # they share the memory

    def warm_up(self) -> None:
        """Nothing: there is nothing to compile."""

    def load(self, weights: Weights) -> NDArray[np.float32]:
        """Received weights as one vector, float32 [num_weights]."""
        return flatten(weights)

    def train(self, received: NDArray[np.float32], batches: PackedBatches, learning_rate: float) -> LocalResult:
        """Run SGD over the batches in order, starting from the received weights."""
        update = np.empty_like(received)
        rows = np.ascontiguousarray(batches.step_rows)  # [batches, T]
        with self._one_at_a_time:
            most_tokens, most_rows = int(rows.sum(1).max(initial=0)), int(rows[:, 0].max(initial=0))
            self._make_room(kernel.training_floats(self._variant, self._sizes, most_tokens, most_rows))
            loss = kernel.train(
                self._variant,
                self._sizes,
                received,
                update,
                np.ascontiguousarray(batches.inputs),
                np.ascontiguousarray(batches.targets),
                rows.reshape(-1),
                rows.shape[1],
                learning_rate,
                self._max_gradient_norm,
                self._memory,
            )
        return LocalResult(update, loss, batches.num_tokens)

    def _make_room(self, floats: int) -> None:
        """Memory of so many floats or more, in large pages where the system has them: they are read all over."""
        if len(self._memory) >= floats:
            return
        pages = mmap.mmap(-1, floats * _FLOAT_BYTES)
        if hasattr(mmap, "MADV_HUGEPAGE"):
            pages.madvise(mmap.MADV_HUGEPAGE)
        self._memory = np.frombuffer(pages, np.float32)
