"""A cell over packed rows: how automatic differentiation trains it, and pieces for passes written by hand.

Packed: the rows of a batch, sorted by falling length, are laid out time step by time step, so that step t holds only
the `counts[t]` rows that are still running; see `client_model.text.batches`.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import tensorflow as tf

from client_model.learning.cells.base import Cell, CellSizes, HandWrittenPasses, Tensor, Tensors


def head(x: Tensor, rows: Tensor) -> Tensor:
    """First `rows` rows of [., width]: those still running."""
    return tf.slice(x, [0, 0], [rows, -1])


def grow(x: Tensor, rows: Tensor) -> Tensor:
    """Append zero rows: sentences that ended earlier get no gradient from later steps."""
    return tf.pad(x, [[0, rows - tf.shape(x)[0]], [0, 0]])


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
        steps = counts.shape[0]
        rows = tf.unstack(counts, steps)
        widths = self._cell.state_sizes(self._sizes)
        state: Tensors = {name: tf.zeros([rows[0], width]) for name, width in widths.items()}
        outputs = []
        for t, x_t in enumerate(tf.split(x, counts, num=steps)):  # [rows_t, D]
            running = {name: head(part, rows[t]) for name, part in state.items()} if t else state
            output, state = self._cell.step(weights, x_t, running)
            outputs.append(output)  # [rows_t, D]
        return tf.concat(outputs, 0)  # [n, D]

    def backward(self, weights: Tensors, trace: Tape, d_outputs: Tensor) -> tuple[Tensor, Tensors]:
        """Gradients of the inputs and the weights; see `HandWrittenPasses`."""
        return trace.gradients(weights, d_outputs)


def passes_of(cell: Cell, sizes: CellSizes) -> HandWrittenPasses:
    """The passes that train a cell: its own where it has them."""
    return cell if isinstance(cell, HandWrittenPasses) else AutodiffPasses(cell, sizes)
