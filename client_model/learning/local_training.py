"""The hot loop: one phone's local SGD as one traced TensorFlow function.

What makes it fast, for phones that hold a few dozen short sentences:

* one trace serves every phone: the numbers of batches, rows and tokens are dynamic;
* batches are packed (see `batches`), so each product runs over real tokens only;
* the input products of all time steps are one product, and so are the logits, their softmax and
  gradient, and each weight's gradient; only the recurrence itself goes step by step;
* the backward pass is written by hand; the softmax gradient needs no one-hot matrix.

Symbols, for a batch of n tokens in packed order (step after step, rows by falling length):
V words, D embedding width, U units, G gates, rows_t rows alive at step t.

The gradient is that of the mean cross-entropy over the batch's tokens; the tests hold it against
automatic differentiation of a plain, padded implementation.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from client_model.learning.language_model import ModelShape, Weights
from client_model.metrics.keystrokes import KeystrokeTable, ranks, word_keystrokes
from client_model.metrics.scored_tokens import TokenScores
from client_model.text.batches import PackedBatches

Tensor = Any  # TensorFlow ships no usable types
_SMALLEST = 1e-37  # a probability that underflows counts as this, 85 nats


class LocalResult(NamedTuple):
    """What one phone's training gives."""

    update: NDArray[np.float32]  # [num_weights], trained minus received weights
    loss_sum: float  # summed cross-entropy in nats, each batch before its step
    num_tokens: int


def limit_threads(threads: int = 1) -> None:
    """Give TensorFlow a fixed number of threads; only before its first operation.

    Two processes of one thread train 1.5 times as fast as one process of two.
    """
    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(threads)


def _head(x: Tensor, rows: Tensor) -> Tensor:
    """First `rows` rows: those still running."""
    return tf.slice(x, [0, 0], [rows, -1])


def _grow(x: Tensor, rows: Tensor) -> Tensor:
    """Append zero rows: sentences that ended earlier get no gradient from later steps."""
    return tf.pad(x, [[0, rows - tf.shape(x)[0]], [0, 0]])


class _Trace(NamedTuple):
    """What the forward pass keeps for the backward pass; one list entry a time step."""

    gates: list[tuple[Tensor, ...]]
    states: list[Tensor]  # recurrent inputs fed to the next step: [rows_t, D] or [rows_t, U]
    hidden: Tensor  # [n, U]
    outputs: Tensor  # [n, D]


def _cifg_forward(z: list[Tensor], recurrent: Tensor, projection: Tensor, rows: list[Tensor]) -> _Trace:
    gates: list[tuple[Tensor, ...]] = []
    states: list[Tensor] = []
    hidden: list[Tensor] = []
    cell: Tensor = None
    units = projection.shape[0]
    for t, z_t in enumerate(z):
        if t:
            z_t += tf.matmul(_head(states[-1], rows[t]), recurrent)  # [rows_t, 3 U]
        forget_output = tf.sigmoid(z_t[:, : 2 * units])  # [rows_t, 2 U]
        forget, output = forget_output[:, :units], forget_output[:, units:]  # [rows_t, U] each
        candidate = tf.tanh(z_t[:, 2 * units :])  # [rows_t, U]
        kept = _head(cell, rows[t]) - candidate if t else -candidate  # [rows_t, U]
        cell = candidate + forget * kept  # [rows_t, U]
        tanh_cell = tf.tanh(cell)  # [rows_t, U]
        hidden.append(output * tanh_cell)  # [rows_t, U]
        states.append(tf.matmul(hidden[-1], projection))  # [rows_t, D]
        gates.append((forget, output, candidate, kept, tanh_cell))
    return _Trace(gates, states, tf.concat(hidden, 0), tf.concat(states, 0))


def _cifg_backward(
    trace: _Trace, d_outputs: Tensor, recurrent: Tensor, projection: Tensor, rows: list[Tensor], counts: Tensor
) -> tuple[list[Tensor], Tensor]:
    """(gradient of z per step, gradient of the projection)."""
    steps = len(rows)
    d_out = tf.split(d_outputs, counts, num=steps)  # each [rows_t, D]
    dz: list[Tensor] = [None] * steps
    d_states: list[Tensor] = [None] * steps
    d_cell_kept: Tensor = None
    for t in reversed(range(steps)):
        forget, output, candidate, kept, tanh_cell = trace.gates[t]
        last = t == steps - 1
        d_state = d_out[t] if last else d_out[t] + _grow(tf.matmul(dz[t + 1], recurrent, transpose_b=True), rows[t])
        d_hidden = tf.matmul(d_state, projection, transpose_b=True)  # [rows_t, U]
        d_cell = d_hidden * output * (1 - tanh_cell * tanh_cell)  # [rows_t, U]
        if not last:
            d_cell += _grow(d_cell_kept, rows[t])
        dz[t] = tf.concat(
            [
                d_cell * kept * forget * (1 - forget),
                d_hidden * tanh_cell * output * (1 - output),
                d_cell * (1 - forget) * (1 - candidate * candidate),
            ],
            1,
        )  # [rows_t, 3 U]
        d_cell_kept = d_cell * forget  # [rows_t, U]
        d_states[t] = d_state
    return dz, tf.matmul(trace.hidden, tf.concat(d_states, 0), transpose_a=True)


def _lstm_forward(z: list[Tensor], recurrent: Tensor, projection: Tensor, rows: list[Tensor]) -> _Trace:
    gates: list[tuple[Tensor, ...]] = []
    hidden: list[Tensor] = []
    cell: Tensor = None
    units = projection.shape[0]
    for t, z_t in enumerate(z):
        if t:
            z_t += tf.matmul(_head(hidden[-1], rows[t]), recurrent)  # [rows_t, 4 U]
        sigmoids = tf.sigmoid(z_t[:, : 3 * units])  # [rows_t, 3 U]
        inputs, forget, output = tf.split(sigmoids, 3, axis=1)  # [rows_t, U] each
        candidate = tf.tanh(z_t[:, 3 * units :])  # [rows_t, U]
        before = _head(cell, rows[t]) if t else tf.zeros_like(candidate)  # [rows_t, U]
        cell = forget * before + inputs * candidate  # [rows_t, U]
        tanh_cell = tf.tanh(cell)  # [rows_t, U]
        hidden.append(output * tanh_cell)  # [rows_t, U]
        gates.append((inputs, forget, output, candidate, before, tanh_cell))
    all_hidden = tf.concat(hidden, 0)  # [n, U]
    return _Trace(gates, hidden, all_hidden, tf.matmul(all_hidden, projection))


def _lstm_backward(
    trace: _Trace, d_outputs: Tensor, recurrent: Tensor, projection: Tensor, rows: list[Tensor], counts: Tensor
) -> tuple[list[Tensor], Tensor]:
    """(gradient of z per step, gradient of the projection)."""
    steps = len(rows)
    d_hid = tf.split(tf.matmul(d_outputs, projection, transpose_b=True), counts, num=steps)  # [rows_t, U]
    dz: list[Tensor] = [None] * steps
    d_cell_before: Tensor = None
    for t in reversed(range(steps)):
        inputs, forget, output, candidate, before, tanh_cell = trace.gates[t]
        last = t == steps - 1
        d_hidden = d_hid[t] if last else d_hid[t] + _grow(tf.matmul(dz[t + 1], recurrent, transpose_b=True), rows[t])
        d_cell = d_hidden * output * (1 - tanh_cell * tanh_cell)  # [rows_t, U]
        if not last:
            d_cell += _grow(d_cell_before, rows[t])
        dz[t] = tf.concat(
            [
                d_cell * candidate * inputs * (1 - inputs),
                d_cell * before * forget * (1 - forget),
                d_hidden * tanh_cell * output * (1 - output),
                d_cell * inputs * (1 - candidate * candidate),
            ],
            1,
        )  # [rows_t, 4 U]
        d_cell_before = d_cell * forget  # [rows_t, U]
    return dz, tf.matmul(trace.hidden, d_outputs, transpose_a=True)


_FORWARD: dict[str, Callable[..., _Trace]] = {"cifg": _cifg_forward, "lstm": _lstm_forward}
_BACKWARD: dict[str, Callable[..., tuple[list[Tensor], Tensor]]] = {"cifg": _cifg_backward, "lstm": _lstm_backward}


def _forward(cell: str, weights: list[Tensor], inputs: Tensor, counts: Tensor) -> tuple[Tensor, _Trace, list[Tensor]]:
    """(embedded inputs [n, D], trace, rows per step)."""
    embedding, input_kernel, recurrent, gate_bias, projection, _ = weights
    steps = counts.shape[0]
    x = tf.gather(embedding, inputs)  # [n, D]
    z = tf.split(tf.matmul(x, input_kernel) + gate_bias, counts, num=steps)  # each [rows_t, G U]
    rows = tf.unstack(counts, steps)
    return x, _FORWARD[cell](z, recurrent, projection, rows), rows


def _loss_and_gradients(
    cell: str, weights: list[Tensor], inputs: Tensor, targets: Tensor, counts: Tensor
) -> tuple[Tensor, list[Tensor]]:
    """(summed loss, gradient of the mean loss for each weight) of one batch."""
    embedding, input_kernel, recurrent, _, projection, output_bias = weights
    x, trace, rows = _forward(cell, weights, inputs, counts)
    scale = 1.0 / tf.cast(tf.maximum(tf.shape(inputs)[0], 1), tf.float32)

    logits = tf.matmul(trace.outputs, embedding, transpose_b=True) + output_bias  # [n, V]
    softmax = tf.nn.softmax(logits)  # [n, V], one pass over each row while it is in the cache
    of_target = tf.gather(softmax, targets, batch_dims=1)  # [n]
    loss = -tf.reduce_sum(tf.math.log(tf.maximum(of_target, _SMALLEST)))
    # d logits = scale * (softmax - onehot). The softmax part is dense, the onehot part is n rows.
    d_outputs = scale * (tf.matmul(softmax, embedding) - tf.gather(embedding, targets))  # [n, D]
    scaled_outputs = scale * trace.outputs  # [n, D]
    d_embedding = tf.matmul(softmax, scaled_outputs, transpose_a=True)  # [V, D]
    d_bias = tf.linalg.matvec(softmax, tf.fill(tf.shape(targets), scale), transpose_a=True)  # [V]
    d_bias = tf.tensor_scatter_nd_sub(d_bias, targets[:, None], tf.fill(tf.shape(targets), scale))

    dz_steps, d_projection = _BACKWARD[cell](trace, d_outputs, recurrent, projection, rows, counts)
    dz = tf.concat(dz_steps, 0)  # [n, G U]
    # Step t + 1 read the state of step t, of the rows still running then.
    fed = tf.concat([_head(trace.states[t], rows[t + 1]) for t in range(len(rows) - 1)], 0)  # [n - rows_0, .]
    d_recurrent = tf.matmul(fed, dz[rows[0] :], transpose_a=True)  # [D or U, G U]
    d_x = tf.matmul(dz, input_kernel, transpose_b=True)  # [n, D]
    d_embedding = tf.tensor_scatter_nd_add(
        d_embedding,
        tf.concat([inputs, targets], 0)[:, None],
        tf.concat([d_x, -scaled_outputs], 0),
    )  # [V, D]
    d_input = tf.matmul(x, dz, transpose_a=True)  # [D, G U]
    return loss, [d_embedding, d_input, d_recurrent, tf.reduce_sum(dz, 0), d_projection, d_bias]


class LocalTrainer:
    """The traced functions for one model shape; make one a process and keep it.

    Example:
        >>> trainer = LocalTrainer(shape)                       # doctest: +SKIP
        >>> received = trainer.load(weights)  # once a message   # doctest: +SKIP
        >>> trainer.train(received, batches, learning_rate=0.5)  # doctest: +SKIP
    """

    def __init__(self, shape: ModelShape, max_gradient_norm: float = 0.0) -> None:
        self.shape, self._max_gradient_norm = shape, max_gradient_norm
        weight_specs = [tf.TensorSpec(dims, tf.float32) for dims in shape.weight_shapes().values()]
        tokens = tf.TensorSpec([None], tf.int32)
        step_rows = tf.TensorSpec([None, shape.sequence_length], tf.int32)
        rate = tf.TensorSpec([], tf.float32)
        self._train = tf.function(
            self._train_graph, input_signature=[weight_specs, tokens, tokens, step_rows, rate], autograph=False
        )
        self._score = tf.function(
            self._score_graph,
            input_signature=[weight_specs, tokens, tokens, tf.TensorSpec([shape.sequence_length], tf.int32)],
            autograph=False,
        )

    @property
    def trace_count(self) -> int:
        """How often TensorFlow traced the training function; more than 1 is a defect."""
        return int(self._train.experimental_get_tracing_count())

    def warm_up(self) -> None:
        """Trace both functions now, and not while the first phone waits."""
        one = np.ones(1, np.int32)
        step_rows = np.zeros((1, self.shape.sequence_length), np.int32)
        step_rows[0, 0] = 1
        zeros = self.load([np.zeros(dims, np.float32) for dims in self.shape.weight_shapes().values()])
        batches = PackedBatches(one, one, step_rows)
        self.train(zeros, batches, 0.0)
        self._score(zeros, one, one, step_rows[0])

    def load(self, weights: Weights) -> list[Tensor]:
        """Turn received weights into tensors, once for all phones of a message."""
        return [tf.constant(w) for w in weights]

    def train(self, received: list[Tensor], batches: PackedBatches, learning_rate: float) -> LocalResult:
        """Run SGD over the batches in order, starting from the received weights."""
        update, loss = self._train(
            received, batches.inputs, batches.targets, batches.step_rows, np.float32(learning_rate)
        )
        return LocalResult(np.asarray(update), float(loss), batches.num_tokens)  # shares memory with the tensor

    def score(self, received: list[Tensor], batches: PackedBatches, table: KeystrokeTable) -> TokenScores:
        """Predict every token of the batches; nothing is trained.

        One call a batch: the logits of a batch are as large as its tokens times the vocabulary.
        """
        losses, all_ranks, keystrokes, begin = [], [], [], 0
        for rows in batches.step_rows:
            end = begin + int(rows.sum())
            targets = batches.targets[begin:end]  # [n]
            loss, logits = self._score(received, batches.inputs[begin:end], targets, rows)  # [n], [n, V]
            logits = logits.numpy()
            rank = ranks(logits, targets)  # [n]
            losses.append(loss.numpy())
            all_ranks.append(rank)
            keystrokes.append(word_keystrokes(table, logits, targets, rank))
            begin = end
        return TokenScores(
            batches.targets, np.concatenate(losses), np.concatenate(all_ranks), np.concatenate(keystrokes)
        )

    def _train_graph(
        self, received: list[Tensor], inputs: Tensor, targets: Tensor, step_rows: Tensor, rate: Tensor
    ) -> tuple[Tensor, Tensor]:
        ends = tf.cumsum(tf.reduce_sum(step_rows, 1))  # [batches]

        def step(i: Tensor, begin: Tensor, loss_sum: Tensor, weights: list[Tensor]) -> tuple:
            end = ends[i]
            loss, gradients = _loss_and_gradients(
                self.shape.cell, weights, inputs[begin:end], targets[begin:end], step_rows[i]
            )
            step_size = rate
            if self._max_gradient_norm:
                norm = tf.sqrt(tf.add_n([tf.reduce_sum(g * g) for g in gradients]))
                step_size = rate * tf.minimum(1.0, self._max_gradient_norm / tf.maximum(norm, 1e-12))
            stepped = [w - step_size * g for w, g in zip(weights, gradients, strict=True)]
            return i + 1, end, loss_sum + loss, stepped

        num_batches = tf.shape(step_rows)[0]
        _, _, loss_sum, trained = tf.while_loop(
            lambda i, *_: i < num_batches, step, (0, 0, 0.0, list(received)), parallel_iterations=1
        )
        flat = [tf.reshape(w - r, [-1]) for w, r in zip(trained, received, strict=True)]
        return tf.concat(flat, 0), loss_sum  # [num_weights], []

    def _score_graph(
        self, weights: list[Tensor], inputs: Tensor, targets: Tensor, rows: Tensor
    ) -> tuple[Tensor, Tensor]:
        embedding, output_bias = weights[0], weights[5]
        _, trace, _ = _forward(self.shape.cell, weights, inputs, rows)
        logits = tf.matmul(trace.outputs, embedding, transpose_b=True) + output_bias  # [n, V]
        loss = tf.reduce_logsumexp(logits, 1) - tf.gather(logits, targets, batch_dims=1)  # [n]
        return loss, logits
