"""`gru`: the gated recurrent unit (Cho et al. 2014, arXiv:1406.1078, section 2.3), with a recurrent projection.

The reset gate acts on the product with the recurrent kernel and not on what goes into it, so that one product serves
all gates. As in `cifg`, the recurrent input is the projected memory h P, which gives both cells the same number of
weights (Sak et al. 2014, arXiv:1402.1128, has it for the LSTM). Gate order: update, reset, candidate.

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
class Gru(KindSettings):
    """The cell; it has no settings."""

    name: ClassVar[str] = "gru"

    def weights(self, sizes: CellSizes) -> dict[str, CellWeight]:
        """Three gates; the update gate starts by keeping."""
        d, u = sizes.embedding, sizes.units
        return {
            "input_kernel": glorot(d, 3 * u, u),
            "recurrent_kernel": glorot(d, 3 * u, u),
            "gate_bias": starting_at((1.0, u), (0.0, 2 * u)),
            "projection": glorot(u, d),
        }

    def state_sizes(self, sizes: CellSizes) -> dict[str, int]:
        """The projected memory, and the memory."""
        return {"hidden": sizes.embedding, "memory": sizes.units}

    def step(self, weights: Tensors, x: Tensor, state: Tensors) -> tuple[Tensor, Tensors]:
        """(output [B, D], {hidden [B, D], memory [B, U]})."""
        import tensorflow as tf

        of_input = tf.split(tf.matmul(x, weights["input_kernel"]) + weights["gate_bias"], 3, axis=1)  # [B, U] each
        of_hidden = tf.split(tf.matmul(state["hidden"], weights["recurrent_kernel"]), 3, axis=1)
        update, reset = (tf.sigmoid(of_input[gate] + of_hidden[gate]) for gate in (0, 1))
        candidate = tf.tanh(of_input[2] + reset * of_hidden[2])
        memory = candidate + update * (state["memory"] - candidate)
        projected = tf.matmul(memory, weights["projection"])  # [B, D]
        return projected, {"hidden": projected, "memory": memory}

    def forward(self, weights: Tensors, x: Tensor, counts: Tensor) -> tuple[Tensor, Tensor]:
        """All steps of a packed batch; see `HandWrittenPasses`."""
        import tensorflow as tf

        from client_model.learning.cells.gated import GatedTrace, input_products
        from client_model.learning.cells.packed import RunningRows

        recurrent, projection = weights["recurrent_kernel"], weights["projection"]
        rows, units = RunningRows.of(counts), projection.shape[0]
        gates: list[tuple[Tensor, ...]] = []
        states: list[Tensor] = []
        memories: list[Tensor] = []
        for t, z_t in enumerate(input_products(weights, x, counts)):
            of_hidden = tf.matmul(rows.head(states[-1], t), recurrent) if t else tf.zeros_like(z_t)  # [rows_t, 3 U]
            update_reset = tf.sigmoid(z_t[:, : 2 * units] + of_hidden[:, : 2 * units])  # [rows_t, 2 U]
            update, reset = update_reset[:, :units], update_reset[:, units:]  # [rows_t, U] each
            recalled = of_hidden[:, 2 * units :]  # [rows_t, U]
            candidate = tf.tanh(z_t[:, 2 * units :] + reset * recalled)  # [rows_t, U]
            kept = rows.head(memories[-1], t) - candidate if t else -candidate  # [rows_t, U]
            memories.append(candidate + update * kept)  # [rows_t, U]
            states.append(tf.matmul(memories[-1], projection))  # [rows_t, D]
            gates.append((update, reset, recalled, candidate, kept))
        return tf.concat(states, 0), GatedTrace(
            x=x, rows=rows, counts=counts, gates=gates, states=states, hidden=tf.concat(memories, 0)
        )

    def backward(self, weights: Tensors, trace: Tensor, d_outputs: Tensor) -> tuple[Tensor, Tensors]:
        """Gradients of the inputs and the weights; see `HandWrittenPasses`."""
        import tensorflow as tf

        from client_model.learning.cells.gated import gradients, through_sigmoid, through_tanh, transposed

        projection, rows = weights["projection"], trace.rows
        recurrent = transposed(weights["recurrent_kernel"])  # [3 U, D]
        steps = len(trace.states)
        d_out = tf.split(d_outputs, trace.counts, num=steps)  # each [rows_t, D]
        dz: list[Tensor] = [None] * steps  # of the sums with the input's products
        dr: list[Tensor] = [None] * steps  # of the recurrent products: other than dz behind the reset gate
        d_states: list[Tensor] = [None] * steps
        d_kept: Tensor = None
        for t in reversed(range(steps)):
            update, reset, recalled, candidate, kept = trace.gates[t]
            last = t == steps - 1
            d_state = d_out[t] if last else d_out[t] + rows.grow(tf.matmul(dr[t + 1], recurrent), t)
            d_memory = tf.matmul(d_state, projection, transpose_b=True)  # [rows_t, U]
            if not last:
                d_memory += rows.grow(d_kept, t)
            d_update = through_sigmoid(update, d_memory * kept)  # [rows_t, U]
            d_kept = d_memory * update  # [rows_t, U]
            d_candidate = through_tanh(candidate, d_memory - d_kept)  # [rows_t, U]
            d_reset = through_sigmoid(reset, d_candidate * recalled)  # [rows_t, U]
            dz[t] = tf.concat([d_update, d_reset, d_candidate], 1)  # [rows_t, 3 U]
            dr[t] = tf.concat([d_update, d_reset, d_candidate * reset], 1)  # [rows_t, 3 U]
            d_states[t] = d_state
        d_projection = tf.matmul(trace.hidden, tf.concat(d_states, 0), transpose_a=True)
        return gradients(weights, trace, dz, d_projection, of_recurrent=dr)

    def reference_step(
        self, weights: Vectors, x: NDArray[np.float32], state: Vectors
    ) -> tuple[NDArray[np.float32], Vectors]:
        """(output [D], {hidden [D], memory [U]}) in plain numpy."""
        of_input = np.split(x @ weights["input_kernel"] + weights["gate_bias"], 3)
        of_hidden = np.split(state["hidden"] @ weights["recurrent_kernel"], 3)
        update, reset = (numpy_sigmoid(of_input[gate] + of_hidden[gate]) for gate in (0, 1))
        candidate = np.tanh(of_input[2] + reset * of_hidden[2])
        memory = update * state["memory"] + (1 - update) * candidate
        projected = memory @ weights["projection"]
        return projected, {"hidden": projected, "memory": memory}


KIND = Kind("gru", "gated recurrent unit, with recurrent projection", make=lambda settings: settings, settings=Gru)
