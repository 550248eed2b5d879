"""Local SGD in C: the trainer that needs no TensorFlow, for the cells that the kernel has.

The same training as `client_model.learning.local_training`: updates differ by a relative 2e-6 as found, and tests hold
them to 1e-4, since sums of float32 are taken in another order. An update's bits depend on nothing but the batches and
the weights: not on the processor's instructions, or on phones trained before. What comes of a token does not depend on
the other rows of its batch.

The module in C is imported where it is used: it may not be there.
"""

import contextlib
import mmap
import threading
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from client_model.learning.language_model import ModelShape, Weights, flatten
from client_model.learning.native.available import CELLS
from client_model.learning.trainers import LocalResult
from client_model.metrics.keystrokes import KeystrokeTable
from client_model.metrics.scored_tokens import TokenScores
from client_model.text.batches import PackedBatches

Model = tuple[str, int, int, int, int, int]  # as kernel.pyi has it
_FLOAT_BYTES = 4


@dataclass
class LoadedWeights:
    """Received weights as the kernel reads them."""

    flat: NDArray[np.float32]  # [num_weights]
    readout: NDArray[np.float32] | None = None  # the embedding as scoring reads it, and its memory; made when it scores


class NativeTrainer:
    """A trainer (`client_model.learning.trainers.Trainer`) in C; make one per process and keep it."""

    def __init__(self, shape: ModelShape, max_gradient_norm: float = 0.0, variant: str | None = None) -> None:
        """For one model.

        Args:
            shape: of the model, whose cell the kernel has.
            max_gradient_norm: L2 norm that a step's longer gradient is scaled down to; 0 for no bound.
            variant: instructions to use, by name; the fastest that this machine has if not given.
        """
        from client_model.learning.native import kernel

        self.shape, self._max_gradient_norm = shape, max_gradient_norm
        self._variant = kernel.variants()[0] if variant is None else variant
        layers = getattr(shape.cell, "layers", 1)
        sizes = (CELLS[type(shape.cell)], layers, shape.vocabulary_size, shape.embedding_size, shape.units)
        self._model: Model = (self._variant, *sizes)
        self._memory = np.zeros(0, np.float32)
        self._one_at_a_time = threading.Lock()  # they share the memory

    def warm_up(self) -> None:
        """Nothing: there is nothing to compile."""

    def load(self, weights: Weights) -> LoadedWeights:
        """Received weights as the kernel reads them."""
        return LoadedWeights(flatten(weights))

    def train(self, received: LoadedWeights, batches: PackedBatches, learning_rate: float) -> LocalResult:
        """Run SGD over the batches in order, starting from the received weights."""
        from client_model.learning.native import kernel

        update = np.empty_like(received.flat)
        rows = np.ascontiguousarray(batches.step_rows)  # [batches, T]
        inputs, targets = np.ascontiguousarray(batches.inputs), np.ascontiguousarray(batches.targets)
        with self._one_at_a_time:
            loss = kernel.train(
                self._model,
                (received.flat, update),
                (inputs, targets, rows.reshape(-1), rows.shape[1]),
                (learning_rate, self._max_gradient_norm),
                self._memory_for(kernel.training_floats, rows),
            )
        return LocalResult(update, loss, batches.num_tokens)

    def score(self, received: LoadedWeights, batches: PackedBatches, table: KeystrokeTable) -> TokenScores:
        """Predict every token of the batches; nothing is trained."""
        rank, keystrokes = (np.empty(batches.num_tokens, np.int64) for _ in range(2))
        loss = self._scored(received, batches, table, rank, keystrokes)
        return TokenScores(batches.targets, loss, rank, keystrokes)

    def token_losses(self, received: LoadedWeights, batches: PackedBatches) -> NDArray[np.float32]:
        """Cross-entropy of every token of the batches, in nats: float32 [tokens]."""
        return self._scored(received, batches, None, None, None)

    def _scored(
        self,
        received: LoadedWeights,
        batches: PackedBatches,
        table: KeystrokeTable | None,
        rank: NDArray[np.int64] | None,
        keystrokes: NDArray[np.int64] | None,
    ) -> NDArray[np.float32]:
        """Losses [tokens]; with a table, ranks and keystrokes [tokens] are set."""
        from client_model.learning.native import kernel

        words, width = self.shape.vocabulary_size, self.shape.embedding_size
        outputs = np.empty((batches.num_tokens, width), np.float32)
        loss = np.empty(batches.num_tokens, np.float32)
        rows = np.ascontiguousarray(batches.step_rows)  # [batches, T]
        with self._one_at_a_time:
            kernel.outputs(
                self._model,
                (received.flat, outputs),
                (np.ascontiguousarray(batches.inputs), rows.reshape(-1), rows.shape[1]),
                self._memory_for(kernel.outputs_floats, rows),
            )
            if received.readout is None:
                received.readout = np.empty(kernel.scoring_floats(self._variant, words, width), np.float32)
                embedding = received.flat[: words * width].reshape(words, width)
                kernel.prepare_scoring(self._variant, embedding, received.readout)
            targets, bias = np.ascontiguousarray(batches.targets), received.flat[-words:]
            kernel.score_outputs(self._variant, outputs, bias, targets, table, loss, rank, keystrokes, received.readout)
        return loss

    def _memory_for(self, floats_for: Callable[[Model, int, int], int], rows: NDArray[np.int32]) -> NDArray[np.float32]:
        """Memory for the largest batch of rows [batches, T], in large pages where the system has them.

        Args:
            floats_for: says how much that is.
            rows: of each step.
        """
        most_tokens, most_rows = int(rows.sum(1).max(initial=0)), int(rows[:, 0].max(initial=0))
        floats = floats_for(self._model, most_tokens, most_rows)
        if len(self._memory) < floats:
            self._memory = np.frombuffer(_pages(floats * _FLOAT_BYTES), np.float32)
        return self._memory


def _pages(size: int) -> mmap.mmap:
    """Private memory of `size` bytes, in large pages where the system has them.

    Private, since Linux has a setting of its own, mostly off, for large pages of memory that processes may share, which
    is what `mmap` maps if it is not told otherwise.
    """
    if not hasattr(mmap, "MAP_ANONYMOUS"):
        return mmap.mmap(-1, size)
    pages = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    if hasattr(mmap, "MADV_HUGEPAGE"):
        with contextlib.suppress(OSError):  # a system that was built without them: small pages serve as well
            pages.madvise(mmap.MADV_HUGEPAGE)
    return pages
