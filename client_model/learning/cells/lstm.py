"""`lstm`: the plain cell (Hochreiter and Schmidhuber 1997, with forget gate).

Its recurrent input is the hidden state itself; the projection P brings that back to the width of the embedding. Gate
order: input, forget, output, candidate.

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
class Lstm(KindSettings):
    """The cell; it has no settings."""

    name: ClassVar[str] = "lstm"

    def weights(self, sizes: CellSizes) -> dict[str, CellWeight]:
        """Four gates; the forget gate starts open."""
        d, u = sizes.embedding, sizes.units
        return {
            "input_kernel": glorot(d, 4 * u, u),
            "recurrent_kernel": glorot(u, 4 * u, u),
            "gate_bias": starting_at((0.0, u), (1.0, u), (0.0, 2 * u)),
            "projection": glorot(u, d),
        }

    def state_sizes(self, sizes: CellSizes) -> dict[str, int]:
        """The hidden state, and the cell."""
        return {"hidden": sizes.units, "cell": sizes.units}

    def step(self, weights: Tensors, x: Tensor, state: Tensors) -> tuple[Tensor, Tensors]:
        """(output [B, D], {hidden [B, U], cell [B, U]})."""
        import tensorflow as tf

        z = tf.matmul(x, weights["input_kernel"]) + tf.matmul(state["hidden"], weights["recurrent_kernel"])
        gates = tf.split(z + weights["gate_bias"], 4, axis=1)  # [B, U] each
        take, forget, output = (tf.sigmoid(gate) for gate in gates[:3])
        cell = forget * state["cell"] + take * tf.tanh(gates[3])
        hidden = output * tf.tanh(cell)  # [B, U]
        return tf.matmul(hidden, weights["projection"]), {"hidden": hidden, "cell": cell}

    def forward(self, weights: Tensors, x: Tensor, counts: Tensor) -> tuple[Tensor, Tensor]:
        """All steps of a packed batch; see `HandWrittenPasses`."""
        import tensorflow as tf

        from client_model.learning.cells.gated import GatedTrace, input_products
        from client_model.learning.cells.packed import RunningRows

        recurrent, projection = weights["recurrent_kernel"], weights["projection"]
        rows, units = RunningRows.of(counts), projection.shape[0]
        gates: list[tuple[Tensor, ...]] = []
        hidden: list[Tensor] = []
        cell: Tensor = None
        for t, z_t in enumerate(input_products(weights, x, counts)):
            if t:
                z_t += tf.matmul(rows.head(hidden[-1], t), recurrent)  # [rows_t, 4 U]
            sigmoids = tf.sigmoid(z_t[:, : 3 * units])  # [rows_t, 3 U]
            inputs, forget, output = tf.split(sigmoids, 3, axis=1)  # [rows_t, U] each
            candidate = tf.tanh(z_t[:, 3 * units :])  # [rows_t, U]
            before = rows.head(cell, t) if t else tf.zeros_like(candidate)  # [rows_t, U]
            cell = forget * before + inputs * candidate  # [rows_t, U]
            tanh_cell = tf.tanh(cell)  # [rows_t, U]
            hidden.append(output * tanh_cell)  # [rows_t, U]
            gates.append((inputs, forget, output, candidate, before, tanh_cell))
        all_hidden = tf.concat(hidden, 0)  # [n, U]
        return tf.matmul(all_hidden, projection), GatedTrace(
            x=x, rows=rows, counts=counts, gates=gates, states=hidden, hidden=all_hidden
        )

    def backward(self, weights: Tensors, trace: Tensor, d_outputs: Tensor) -> tuple[Tensor, Tensors]:
        """Gradients of the inputs and the weights; see `HandWrittenPasses`."""
        import tensorflow as tf

        from client_model.learning.cells.gated import TransposedKernel, gradients, through_sigmoid, through_tanh

        projection, rows = weights["projection"], trace.rows
        steps, back = len(trace.states), TransposedKernel.of(weights["recurrent_kernel"], trace)
        d_hid = tf.split(tf.matmul(d_outputs, projection, transpose_b=True), trace.counts, num=steps)  # [rows_t, U]
        dz: list[Tensor] = [None] * steps
        d_cell_before: Tensor = None
        for t in reversed(range(steps)):
            inputs, forget, output, candidate, before, tanh_cell = trace.gates[t]
            last = t == steps - 1
            d_hidden = d_hid[t] if last else d_hid[t] + rows.grow(back.product(dz[t + 1]), t)
            d_cell = through_tanh(tanh_cell, d_hidden * output)  # [rows_t, U]
            if not last:
                d_cell += rows.grow(d_cell_before, t)
            dz[t] = tf.concat(
                [
                    through_sigmoid(inputs, d_cell * candidate),
                    through_sigmoid(forget, d_cell * before),
                    through_sigmoid(output, d_hidden * tanh_cell),
                    through_tanh(candidate, d_cell * inputs),
                ],
                1,
            )  # [rows_t, 4 U]
            d_cell_before = d_cell * forget  # [rows_t, U]
        return gradients(weights, trace, dz, tf.matmul(trace.hidden, d_outputs, transpose_a=True))

    def reference_step(
        self, weights: Vectors, x: NDArray[np.float32], state: Vectors
    ) -> tuple[NDArray[np.float32], Vectors]:
        """(output [D], {hidden [U], cell [U]}) in plain numpy."""
        z = x @ weights["input_kernel"] + state["hidden"] @ weights["recurrent_kernel"] + weights["gate_bias"]
        gates = np.split(z, 4)
        take, forget, output = (numpy_sigmoid(gate) for gate in gates[:3])
        cell = forget * state["cell"] + take * np.tanh(gates[3])
        hidden = output * np.tanh(cell)
        return hidden @ weights["projection"], {"hidden": hidden, "cell": cell}


KIND = Kind("lstm", "the plain cell, with forget gate", make=lambda settings: settings, settings=Lstm)
