"""What the hand-written passes of the gated cells share.

All gates of all time steps read the input through one product, and the gradient of each weight is one product; only
the recurrence itself goes step by step. G gates lie side by side in [., G U].
"""

from typing import NamedTuple

import tensorflow as tf

from client_model.learning.cells.base import Tensor, Tensors
from client_model.learning.cells.packed import RunningRows

ROWS_WORTH_TRANSPOSING = 80


class GatedTrace(NamedTuple):
    """What a forward pass keeps for the backward pass; one list entry a time step."""

    x: Tensor  # [n, D]
    rows: RunningRows
    counts: Tensor  # rows still running, int32 [T]
    gates: list[tuple[Tensor, ...]]
    states: list[Tensor]  # recurrent inputs fed to the next step: [rows_t, D] or [rows_t, U]
    hidden: Tensor  # [n, U], what the projection reads


def through_sigmoid(y: Tensor, dy: Tensor) -> Tensor:
    """Gradient of x, given y = sigmoid(x) and its gradient: dy y (1 - y), in one pass."""
    return tf.raw_ops.SigmoidGrad(y=y, dy=dy)


def through_tanh(y: Tensor, dy: Tensor) -> Tensor:
    """Gradient of x, given y = tanh(x) and its gradient: dy (1 - y y), in one pass."""
    return tf.raw_ops.TanhGrad(y=y, dy=dy)


def column_sums(x: Tensor) -> Tensor:
    """[width], of [n, width].

    As a product, which is as fast as `reduce_sum`: of several phones at once that one adds in an order that depends on
    where a phone stands among them, unless the width is a multiple of 16.
    """
    return tf.linalg.matvec(x, tf.ones([tf.shape(x)[0]]), transpose_a=True)


def transposed(matrix: Tensor) -> Tensor:
    """[columns, rows] as a tensor of its own: products of a few rows with it are faster than with `transpose_b`.

    By three dimensions, since TensorFlow turns the product with a transposed matrix back into `transpose_b`.
    """
    return tf.squeeze(tf.transpose(tf.expand_dims(matrix, 0), [0, 2, 1]), 0)


class TransposedKernel(NamedTuple):
    """A recurrent kernel R that each step of the backward pass multiplies by transposed.

    A few rows times a transposed matrix of megabytes is the slowest product that oneDNN has, up to three times as slow
    as with the matrix transposed beforehand. That takes as long as it saves in some 80 rows, so batches of fewer do
    without it.
    """

    kernel: Tensor  # R or R'
    is_transposed: Tensor  # bool []

    @classmethod
    def of(cls, recurrent: Tensor, trace: GatedTrace) -> "TransposedKernel":
        """For all steps of a batch."""
        worth_it = tf.shape(trace.x)[0] - trace.rows.first >= ROWS_WORTH_TRANSPOSING
        return cls(tf.cond(worth_it, lambda: transposed(recurrent), lambda: recurrent), worth_it)

    def product(self, dz: Tensor) -> Tensor:
        """dz R' [rows, D or U], given dz [rows, G U]."""
        return tf.cond(
            self.is_transposed,
            lambda: tf.matmul(dz, self.kernel),
            lambda: tf.matmul(dz, self.kernel, transpose_b=True),
        )


def input_products(weights: Tensors, x: Tensor, counts: Tensor) -> list[Tensor]:
    """What each step's gates get from the input and the bias: [rows_t, G U] each."""
    z = tf.matmul(x, weights["input_kernel"]) + weights["gate_bias"]  # [n, G U]
    split: list[Tensor] = tf.split(z, counts, num=counts.shape[0])
    return split


def gradients(
    weights: Tensors,
    trace: GatedTrace,
    dz_steps: list[Tensor],
    d_projection: Tensor,
    of_recurrent: list[Tensor] | None = None,
) -> tuple[Tensor, Tensors]:
    """(gradient of x [n, D], gradients by name) from those of the gates' inputs, [rows_t, G U] each.

    Args:
        weights: by name.
        trace: of the forward pass.
        dz_steps: gradients of what the gates get from the input, a list entry a time step.
        d_projection: gradient of the projection [U, D].
        of_recurrent: those of what they get from the recurrent input; None: the same.
    """
    rows = trace.rows
    dz = tf.concat(dz_steps, 0)  # [n, G U]
    dr = dz if of_recurrent is None else tf.concat(of_recurrent, 0)  # [n, G U]
    # Step t + 1 read the state of step t, of the rows still running then.
    fed = tf.concat([rows.head(trace.states[t], t + 1) for t in range(len(trace.states) - 1)], 0)  # [n - rows_0, .]
    d_recurrent = tf.matmul(fed, dr[rows.first :], transpose_a=True)  # [D or U, G U]
    d_x = tf.matmul(dz, weights["input_kernel"], transpose_b=True)  # [n, D]
    return d_x, {
        "input_kernel": tf.matmul(trace.x, dz, transpose_a=True),  # [D, G U]
        "recurrent_kernel": d_recurrent,
        "gate_bias": column_sums(dz),
        "projection": d_projection,
    }
