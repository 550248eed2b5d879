"""A cell over packed rows: how automatic differentiation trains it, and pieces for passes written by hand.

Packed: the rows of a batch, sorted by falling length, are laid out time step by time step, so that step t holds only
the `counts[t]` rows that are still running; see `client_model.text.batches`.
"""

from typing import Any, NamedTuple

import tensorflow as tf

from client_model.learning.cells.base import Cell, CellSizes, HandWrittenPasses, Tensor, Tensors


def head(x: Tensor, rows: Tensor) -> Tensor:
    """First `rows` rows of [., width]: those still running."""
    return tf.slice(x, [0, 0], [rows, -1])


def grow(x: Tensor, rows: Tensor) -> Tensor:
    """Append zero rows: sentences that ended earlier get no gradient from later steps."""
    return tf.pad(x, [[0, rows - tf.shape(x)[0]], [0, 0]])


class _Tape(NamedTuple):
    recorded: Any  # tf.GradientTape
    x: Tensor
    outputs: Tensor


class AutodiffPasses:
    """The passes that a cell's `step` gives, differentiated by TensorFlow."""

    def __init__(self, cell: Cell, sizes: CellSizes) -> None:
        self._cell, self._sizes = cell, sizes

    def forward(self, weights: Tensors, x: Tensor, counts: Tensor) -> tuple[Tensor, _Tape]:
        """All steps of a packed batch; see `HandWrittenPasses`."""
        with tf.GradientTape() as tape:
            tape.watch([x, *weights.values()])
            outputs = self._outputs(weights, x, counts)
        return outputs, _Tape(tape, x, outputs)

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

    def backward(self, weights: Tensors, trace: _Tape, d_outputs: Tensor) -> tuple[Tensor, Tensors]:
        """Gradients of the inputs and the weights; see `HandWrittenPasses`."""
        found = trace.recorded.gradient(
            trace.outputs,
            [trace.x, *weights.values()],
            output_gradients=d_outputs,
            unconnected_gradients=tf.UnconnectedGradients.ZERO,
        )
        d_x, *gradients = [tf.convert_to_tensor(gradient) for gradient in found]
        return d_x, dict(zip(weights, gradients, strict=True))


def passes_of(cell: Cell, sizes: CellSizes) -> HandWrittenPasses:
    """The passes that train a cell: its own where it has them."""
    return cell if isinstance(cell, HandWrittenPasses) else AutodiffPasses(cell, sizes)
