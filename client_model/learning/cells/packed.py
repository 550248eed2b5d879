"""A cell over packed rows: how automatic differentiation trains it, and pieces for passes written by hand.

Packed: the rows of a batch, sorted by falling length, are laid out time step by time step, so that step t holds only
the `counts[t]` rows that are still running; see `client_model.text.batches`.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import tensorflow as tf

from client_model.learning.cells.base import Cell, CellSizes, HandWrittenPasses, Tensor, Tensors


class RunningRows(NamedTuple):
    """How many rows still run at each step, in the forms that slices and paddings want; made once a batch."""

    first: Tensor  # rows of step 0, int32 []
    sizes: list[Tensor]  # [rows_t, -1] of each step
    paddings: list[Tensor]  # of each step but the last: [[0, rows_t - rows_(t + 1)], [0, 0]]

    @classmethod
    def of(cls, counts: Tensor) -> "RunningRows":
        """From the rows of each step, int32 [T]."""
        sizes = tf.stack([counts, tf.fill(tf.shape(counts), -1)], 1)  # [T, 2]
        fewer = (counts[:-1] - counts[1:])[:, None, None]  # [T - 1, 1, 1]
        paddings = tf.pad(fewer, [[0, 0], [0, 1], [1, 0]])  # [T - 1, 2, 2]
        steps = counts.shape[0]
        return cls(counts[0], tf.unstack(sizes, steps), tf.unstack(paddings, steps - 1))

    def head(self, x: Tensor, step: int) -> Tensor:
        """Of [., width] the first rows: those that still run at a step."""
        return tf.slice(x, [0, 0], self.sizes[step])

    def grow(self, x: Tensor, step: int) -> Tensor:
        """Append zero rows to those of step + 1: sentences that ended earlier get no gradient from later steps."""
        return tf.pad(x, self.paddings[step])


class Tape(NamedTuple):
    """Outputs of a packed batch, and what TensorFlow recorded to differentiate them."""

    recorded: Any  # tf.GradientTape
    x: Tensor
    outputs: Tensor

    @classmethod
    def of(
        cls, compute: Callable[[Tensors, Tensor, Tensor], Tensor], weights: Tensors, x: Tensor, counts: Tensor
    ) -> "Tape":
        """Record `compute(weights, x, counts)`, the outputs [n, D]."""
        with tf.GradientTape() as recorded:
            recorded.watch([x, *weights.values()])
            outputs = compute(weights, x, counts)
        return cls(recorded, x, outputs)

    def gradients(self, weights: Tensors, d_outputs: Tensor) -> tuple[Tensor, Tensors]:
        """Of the inputs [n, D] and of each weight, given those of the outputs [n, D]; see `HandWrittenPasses`."""
        found = self.recorded.gradient(
            self.outputs,
            [self.x, *weights.values()],
            output_gradients=d_outputs,
            unconnected_gradients=tf.UnconnectedGradients.ZERO,
        )
        d_x, *gradients = [tf.convert_to_tensor(gradient) for gradient in found]
        return d_x, dict(zip(weights, gradients, strict=True))


class AutodiffPasses:
    """The passes that a cell's `step` gives, differentiated by TensorFlow."""

    def __init__(self, cell: Cell, sizes: CellSizes) -> None:
        self._cell, self._sizes = cell, sizes

    def forward(self, weights: Tensors, x: Tensor, counts: Tensor) -> tuple[Tensor, Tape]:
        """All steps of a packed batch; see `HandWrittenPasses`."""
        tape = Tape.of(self._outputs, weights, x, counts)
        return tape.outputs, tape

    def _outputs(self, weights: Tensors, x: Tensor, counts: Tensor) -> Tensor:
        rows = RunningRows.of(counts)
        widths = self._cell.state_sizes(self._sizes)
        state: Tensors = {name: tf.zeros([rows.first, width]) for name, width in widths.items()}
        outputs = []
        for t, x_t in enumerate(tf.split(x, counts, num=counts.shape[0])):  # [rows_t, D]
            running = {name: rows.head(part, t) for name, part in state.items()} if t else state
            output, state = self._cell.step(weights, x_t, running)
            outputs.append(output)  # [rows_t, D]
        return tf.concat(outputs, 0)  # [n, D]

    def backward(self, weights: Tensors, trace: Tape, d_outputs: Tensor) -> tuple[Tensor, Tensors]:
        """Gradients of the inputs and the weights; see `HandWrittenPasses`."""
        return trace.gradients(weights, d_outputs)


def passes_of(cell: Cell, sizes: CellSizes) -> HandWrittenPasses:
    """The passes that train a cell: its own where it has them."""
    return cell if isinstance(cell, HandWrittenPasses) else AutodiffPasses(cell, sizes)
