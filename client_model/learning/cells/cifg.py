"""`cifg`: LSTM with coupled input and forget gate and a recurrent projection.

As in Hard et al., "Federated learning for mobile keyboard prediction", arXiv:1811.03604, section 2: input = 1 - forget,
and the recurrent input is the projected state h P. Gate order: forget, output, candidate.

TensorFlow is imported where it is used: it takes seconds, and shapes are asked for without it.
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from client_model.learning.cells.base import (
    CellSizes,
    CellWeight,
    Tensor,
    Tensors,
    Vectors,
    glorot,
    numpy_sigmoid,
    starting_at,
)
from typefleet.doors import Kind, KindSettings


@dataclass(frozen=True)
class Cifg(KindSettings):
    """The cell; it has no settings."""

    name: ClassVar[str] = "cifg"

    def weights(self, sizes: CellSizes) -> dict[str, CellWeight]:
        """Three gates; the forget gate starts open."""
        d, u = sizes.embedding, sizes.units
        return {
            "input_kernel": glorot(d, 3 * u, u),
            "recurrent_kernel": glorot(d, 3 * u, u),
            "gate_bias": starting_at((1.0, u), (0.0, 2 * u)),
            "projection": glorot(u, d),
        }

    def state_sizes(self, sizes: CellSizes) -> dict[str, int]:
        """The projected state, and the cell."""
        return {"hidden": sizes.embedding, "cell": sizes.units}

    def step(self, weights: Tensors, x: Tensor, state: Tensors) -> tuple[Tensor, Tensors]:
        """(output [B, D], {hidden [B, D], cell [B, U]})."""
        import tensorflow as tf

        z = tf.matmul(x, weights["input_kernel"]) + tf.matmul(state["hidden"], weights["recurrent_kernel"])
        gates = tf.split(z + weights["gate_bias"], 3, axis=1)  # [B, U] each
        forget, output, candidate = tf.sigmoid(gates[0]), tf.sigmoid(gates[1]), tf.tanh(gates[2])
        cell = candidate + forget * (state["cell"] - candidate)
        projected = tf.matmul(output * tf.tanh(cell), weights["projection"])  # [B, D]
        return projected, {"hidden": projected, "cell": cell}

    def forward(self, weights: Tensors, x: Tensor, counts: Tensor) -> tuple[Tensor, Tensor]:
        """All steps of a packed batch; see `HandWrittenPasses`."""
        import tensorflow as tf

        from client_model.learning.cells.gated import GatedTrace, input_products
        from client_model.learning.cells.packed import RunningRows

        recurrent, projection = weights["recurrent_kernel"], weights["projection"]
        rows, units = RunningRows.of(counts), projection.shape[0]
        gates: list[tuple[Tensor, ...]] = []
        states: list[Tensor] = []
        hidden: list[Tensor] = []
        cell: Tensor = None
        for t, z_t in enumerate(input_products(weights, x, counts)):
            if t:
                z_t += tf.matmul(rows.head(states[-1], t), recurrent)  # [rows_t, 3 U]
            forget_output = tf.sigmoid(z_t[:, : 2 * units])  # [rows_t, 2 U]
            forget, output = forget_output[:, :units], forget_output[:, units:]  # [rows_t, U] each
            candidate = tf.tanh(z_t[:, 2 * units :])  # [rows_t, U]
            kept = rows.head(cell, t) - candidate if t else -candidate  # [rows_t, U]
            cell = candidate + forget * kept  # [rows_t, U]
            tanh_cell = tf.tanh(cell)  # [rows_t, U]
            hidden.append(output * tanh_cell)  # [rows_t, U]
            states.append(tf.matmul(hidden[-1], projection))  # [rows_t, D]
            gates.append((forget, output, candidate, kept, tanh_cell))
        return tf.concat(states, 0), GatedTrace(
            x=x, rows=rows, counts=counts, gates=gates, states=states, hidden=tf.concat(hidden, 0)
        )

    def backward(self, weights: Tensors, trace: Tensor, d_outputs: Tensor) -> tuple[Tensor, Tensors]:
        """Gradients of the inputs and the weights; see `HandWrittenPasses`."""
        import tensorflow as tf

        from client_model.learning.cells.gated import gradients, through_sigmoid, through_tanh, transposed

        projection, rows = weights["projection"], trace.rows
        recurrent = transposed(weights["recurrent_kernel"])  # [3 U, D]
        steps = len(trace.states)
        d_out = tf.split(d_outputs, trace.counts, num=steps)  # each [rows_t, D]
        dz: list[Tensor] = [None] * steps
        d_states: list[Tensor] = [None] * steps
        d_cell_kept: Tensor = None
        for t in reversed(range(steps)):
            forget, output, candidate, kept, tanh_cell = trace.gates[t]
            last = t == steps - 1
            d_state = d_out[t] if last else d_out[t] + rows.grow(tf.matmul(dz[t + 1], recurrent), t)
            d_hidden = tf.matmul(d_state, projection, transpose_b=True)  # [rows_t, U]
            d_cell = through_tanh(tanh_cell, d_hidden * output)  # [rows_t, U]
            if not last:
                d_cell += rows.grow(d_cell_kept, t)
            d_cell_kept = d_cell * forget  # [rows_t, U]
            dz[t] = tf.concat(
                [
                    through_sigmoid(forget, d_cell * kept),
                    through_sigmoid(output, d_hidden * tanh_cell),
                    through_tanh(candidate, d_cell - d_cell_kept),
                ],
                1,
            )  # [rows_t, 3 U]
            d_states[t] = d_state
        return gradients(weights, trace, dz, tf.matmul(trace.hidden, tf.concat(d_states, 0), transpose_a=True))

    def reference_step(
        self, weights: Vectors, x: NDArray[np.float32], state: Vectors
    ) -> tuple[NDArray[np.float32], Vectors]:
        """(output [D], {hidden [D], cell [U]}) in plain numpy."""
        z = x @ weights["input_kernel"] + state["hidden"] @ weights["recurrent_kernel"] + weights["gate_bias"]
        gates = np.split(z, 3)
        forget, output, candidate = numpy_sigmoid(gates[0]), numpy_sigmoid(gates[1]), np.tanh(gates[2])
        cell = forget * state["cell"] + (1 - forget) * candidate
        projected = (output * np.tanh(cell)) @ weights["projection"]
        return projected, {"hidden": projected, "cell": cell}


KIND = Kind(
    "cifg", "coupled input and forget gate, with recurrent projection", make=lambda settings: settings, settings=Cifg
)
