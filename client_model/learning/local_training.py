"""The hot loop: one phone's local SGD as one traced TensorFlow function.

What makes it fast, for phones that hold a few dozen short sentences:

* one trace serves every phone: the numbers of batches, rows and tokens are dynamic;
* batches are packed (see `batches`), so each product runs over real tokens only (a cell's own passes may pad);
* the input products of all time steps are one product, and so are the logits, their softmax and
  gradient, and each weight's gradient; only the recurrence itself goes step by step;
* the backward pass is written by hand, but for the inside of a cell that has none of its own (see
  `cells.packed`); the softmax gradient needs no one-hot matrix.

Symbols, for a batch of n tokens in packed order (step after step, rows by falling length):
V words, D embedding width, T time steps.

The gradient is that of the mean cross-entropy over the batch's tokens; the tests hold it against
automatic differentiation of a plain, padded implementation.
"""

import functools
from collections.abc import Hashable, Iterator
from typing import NamedTuple, TypeGuard

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from client_model.learning.cells.base import HandWrittenPasses, Tensor
from client_model.learning.cells.packed import passes_of
from client_model.learning.language_model import ModelShape, Weights, cell_weights
from client_model.learning.local_optimizers.base import LocalOptimizer
from client_model.learning.local_optimizers.sgd import is_plain
from client_model.learning.trainers import LocalResult
from client_model.metrics.keystrokes import KeystrokeTable, ranks, word_keystrokes
from client_model.metrics.scored_tokens import TokenScores
from client_model.text.batches import PackedBatches
from typefleet.errors import MachineError, expected

SMALLEST_PROBABILITY = 1e-37  # a probability that underflows counts as this, 85 nats
_SURE = 1e-30  # a probability above it has all its digits
_SHAPES = 4  # whose functions a process keeps
_LOGIT_ROWS = 400  # tokens whose logits are there at a time, in scoring: 16 MB of 10,000 words


def limit_threads(threads: int = 1) -> None:
    """Give TensorFlow a fixed number of threads; only before its first operation.

    Two processes of one thread train 1.5 times as fast as one process of two.

    Raises:
        MachineError: the process has used TensorFlow with another number, which cannot be changed any more.
    """
    try:
        tf.config.threading.set_intra_op_parallelism_threads(threads)
        tf.config.threading.set_inter_op_parallelism_threads(threads)
    except RuntimeError as error:
        raise MachineError(
            expected("TensorFlow", "a process in which it was not used before", "another one")
        ) from error


class LastLayer(NamedTuple):
    """What the last layer gives for a batch of n tokens."""

    loss: Tensor  # [], summed
    d_outputs: Tensor  # [n, D], of the mean loss, as all gradients
    d_embedding: Tensor  # [V, D], but for the targets' part: less scaled_outputs in their rows
    scaled_outputs: Tensor  # [n, D]
    d_bias: Tensor  # [V]


def last_layer(outputs: Tensor, embedding: Tensor, output_bias: Tensor, targets: Tensor) -> LastLayer:
    """Loss and gradients of softmax(outputs E' + b).

    Args:
        outputs: of the cell, [n, D].
        embedding: [V, D].
        output_bias: [V].
        targets: ids, int32 [n].
    """
    scale = 1.0 / tf.cast(tf.maximum(tf.shape(targets)[0], 1), tf.float32)
    logits = tf.matmul(outputs, embedding, transpose_b=True) + output_bias  # [n, V]
    softmax = tf.nn.softmax(logits)  # [n, V], one pass over each row while it is in the cache
    of_target = tf.gather(softmax, targets, batch_dims=1)  # [n]
    loss = -tf.reduce_sum(tf.math.log(tf.maximum(of_target, SMALLEST_PROBABILITY)))
    # d logits = scale * (softmax - onehot). The softmax part is dense, the onehot part is n rows.
    d_outputs = scale * (tf.matmul(softmax, embedding) - tf.gather(embedding, targets))  # [n, D]
    scaled_outputs = scale * outputs  # [n, D]
    d_embedding = tf.matmul(softmax, scaled_outputs, transpose_a=True)  # [V, D]
    d_bias = tf.linalg.matvec(softmax, tf.fill(tf.shape(targets), scale), transpose_a=True)  # [V]
    d_bias = tf.tensor_scatter_nd_sub(d_bias, targets[:, None], tf.fill(tf.shape(targets), scale))
    return LastLayer(loss, d_outputs, d_embedding, scaled_outputs, d_bias)


def _loss_and_gradients(
    passes: HandWrittenPasses, weights: dict[str, Tensor], inputs: Tensor, targets: Tensor, counts: Tensor
) -> tuple[Tensor, list[Tensor]]:
    """(summed loss, gradient of the mean loss for each weight) of one batch.

    Args:
        passes: of the cell.
        weights: by name.
        inputs, targets: ids, packed: int32 [n].
        counts: rows still running at each step, int32 [T].
    """
    embedding = weights["embedding"]
    of_cell = cell_weights(weights)
    x = tf.gather(embedding, inputs)  # [n, D]
    outputs, trace = passes.forward(of_cell, x, counts)  # [n, D]
    last = last_layer(outputs, embedding, weights["output_bias"], targets)
    d_x, of_cell_weights = passes.backward(of_cell, trace, last.d_outputs)  # [n, D]
    d_embedding = tf.tensor_scatter_nd_add(
        last.d_embedding,
        tf.concat([inputs, targets], 0)[:, None],
        tf.concat([d_x, -last.scaled_outputs], 0),
    )  # [V, D]
    return last.loss, [d_embedding, *(of_cell_weights[name] for name in of_cell), last.d_bias]


class LocalTrainer:
    """Training and scoring for one model shape; trainers of equal shapes and bounds share what TensorFlow has traced.

    Example:
        >>> from client_model.learning.cells.cifg import Cifg
        >>> from client_model.learning.language_model import initial_weights
        >>> shape = ModelShape(Cifg(), vocabulary_size=20, embedding_size=4, units=4, sequence_length=3)
        >>> trainer = LocalTrainer(shape)
        >>> received = trainer.load(initial_weights(shape, seed=0))  # once a message
        >>> two_tokens, steps = np.array([1, 8], np.int32), np.array([[1, 1, 0]], np.int32)
        >>> trainer.train(received, PackedBatches(two_tokens, two_tokens, steps), learning_rate=0.5).num_tokens
        2
    """

    def __init__(
        self, shape: ModelShape, max_gradient_norm: float = 0.0, optimizer: LocalOptimizer | None = None
    ) -> None:
        self.shape = shape
        optimizer = None if is_plain(optimizer) else optimizer
        if _has_hash(shape) and _has_hash(optimizer):
            self._traced = _kept(shape, max_gradient_norm, optimizer)
        else:
            self._traced = _Traced(shape, max_gradient_norm, optimizer)

    @property
    def trace_count(self) -> int:
        """How often TensorFlow traced the training function, for whichever trainer; more than 1 is a defect."""
        return int(self._traced.train.experimental_get_tracing_count())

    def warm_up(self) -> None:
        """Trace the training now, and not while the first phone waits; scoring is traced when it is first asked for."""
        one = np.ones(1, np.int32)
        step_rows = np.zeros((1, self.shape.sequence_length), np.int32)
        step_rows[0, 0] = 1
        zeros = self.load([np.zeros(dims, np.float32) for dims in self.shape.weight_shapes().values()])
        batches = PackedBatches(one, one, step_rows)
        self.train(zeros, batches, 0.0)

    def load(self, weights: Weights) -> list[Tensor]:
        """Turn received weights into tensors, once for all phones of a message."""
        return [tf.constant(w) for w in weights]

    def train(self, received: list[Tensor], batches: PackedBatches, learning_rate: float) -> LocalResult:
        """Take a step for each batch, in order, starting from the received weights."""
        update, loss = self._traced.train(
            received, batches.inputs, batches.targets, batches.step_rows, np.float32(learning_rate)
        )
        return LocalResult(np.asarray(update), float(loss), batches.num_tokens)  # shares memory with the tensor

    def score(self, received: list[Tensor], batches: PackedBatches, table: KeystrokeTable) -> TokenScores:
        """Predict every token of the batches; nothing is trained.

        The recurrence goes over a batch at a time, and so does best with large ones; logits, which are as large as
        their tokens times the vocabulary, are made and used up a few hundred tokens at a time.
        """
        losses, all_ranks, keystrokes = [], [], []
        for loss, logits, targets in self._scored(received, batches):
            rank = ranks(logits, targets)  # [n]
            losses.append(loss)
            all_ranks.append(rank)
            keystrokes.append(word_keystrokes(table, logits, targets, rank))
        return TokenScores(
            batches.targets, np.concatenate(losses), np.concatenate(all_ranks), np.concatenate(keystrokes)
        )

    def token_losses(self, received: list[Tensor], batches: PackedBatches) -> NDArray[np.float32]:
        """Cross-entropy of every token of the batches, in nats: float32 [tokens]; `score` without the rest."""
        return np.concatenate([loss for loss, _, _ in self._scored(received, batches)])

    def _scored(
        self, received: list[Tensor], batches: PackedBatches
    ) -> Iterator[tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.int32]]]:
        """(loss [n], logits [n, V], targets [n]) of at most `_LOGIT_ROWS` tokens at a time."""
        named = _named(self.shape, received)
        readout = self._traced.readout(named["embedding"], named["output_bias"])  # [D + 1, V]
        begin = 0
        for rows in batches.step_rows:
            end = begin + int(rows.sum())
            outputs = self._traced.outputs(received, batches.inputs[begin:end], rows)  # [tokens, D + 1]
            for first in range(begin, end, _LOGIT_ROWS):
                targets = batches.targets[first : min(first + _LOGIT_ROWS, end)]  # [n]
                some = outputs[first - begin : first - begin + len(targets)]  # [n, D + 1]
                # As arrays that share the tensors' memory: 16 MB are better not copied.
                of_target, logits = map(np.asarray, self._traced.predict(some, readout, targets))  # [n], [n, V]
                yield _loss_of(of_target, logits, targets), logits, targets
            begin = end


class _Traced:
    """The functions of one shape and bound, each traced when it is first called; they keep nothing of a call."""

    def __init__(self, shape: ModelShape, max_gradient_norm: float, optimizer: LocalOptimizer | None) -> None:
        self._shape, self._max_gradient_norm, self._optimizer = shape, max_gradient_norm, optimizer
        self._passes = passes_of(shape.cell, shape.cell_sizes)
        by_name = {name: tf.TensorSpec(dims, tf.float32) for name, dims in shape.weight_shapes().items()}
        weight_specs = list(by_name.values())
        tokens = tf.TensorSpec([None], tf.int32)
        step_rows = tf.TensorSpec([None, shape.sequence_length], tf.int32)
        rate = tf.TensorSpec([], tf.float32)
        self.train = tf.function(
            self._train_graph, input_signature=[weight_specs, tokens, tokens, step_rows, rate], autograph=False
        )
        self.outputs = tf.function(
            self._outputs_graph,
            input_signature=[weight_specs, tokens, tf.TensorSpec([shape.sequence_length], tf.int32)],
            autograph=False,
        )
        by_width = tf.TensorSpec([None, None], tf.float32)
        self.readout = tf.function(_readout_graph, input_signature=[weight_specs[0], weight_specs[-1]], autograph=False)
        self.predict = tf.function(_predict_graph, input_signature=[by_width, by_width, tokens], autograph=False)

    def _train_graph(
        self, received: list[Tensor], inputs: Tensor, targets: Tensor, step_rows: Tensor, rate: Tensor
    ) -> tuple[Tensor, Tensor]:
        ends = tf.cumsum(tf.reduce_sum(step_rows, 1))  # [batches]

        def step(
            i: Tensor, begin: Tensor, loss_sum: Tensor, weights: list[Tensor], state: list[Tensor]
        ) -> tuple[Tensor, ...]:
            end = ends[i]
            loss, gradients = _loss_and_gradients(
                self._passes, _named(self._shape, weights), inputs[begin:end], targets[begin:end], step_rows[i]
            )
            shrink = self._shrink(gradients)
            if self._optimizer is None:
                step_size = rate if shrink is None else rate * shrink
                stepped = [w - step_size * g for w, g in zip(weights, gradients, strict=True)]
                return i + 1, end, loss_sum + loss, stepped, state
            bounded = gradients if shrink is None else [shrink * g for g in gradients]
            after, remembered = self._optimizer.step(weights, bounded, received, state, rate)
            return i + 1, end, loss_sum + loss, list(after), list(remembered)

        num_batches = tf.shape(step_rows)[0]
        state = [] if self._optimizer is None else list(self._optimizer.initial_state(received))
        _, _, loss_sum, trained, _ = tf.while_loop(
            lambda i, *_: i < num_batches, step, (0, 0, 0.0, list(received), state), parallel_iterations=1
        )
        flat = [tf.reshape(w - r, [-1]) for w, r in zip(trained, received, strict=True)]
        return tf.concat(flat, 0), loss_sum  # [num_weights], []

    def _shrink(self, gradients: list[Tensor]) -> Tensor | None:
        """What a gradient longer than the bound is scaled down by, float32 []; None: there is no bound."""
        if not self._max_gradient_norm:
            return None
        norm = tf.sqrt(2.0 * tf.add_n([tf.nn.l2_loss(g) for g in gradients]))  # its loss is half the squares
        return tf.minimum(1.0, self._max_gradient_norm / tf.maximum(norm, 1e-12))

    def _outputs_graph(self, weights: list[Tensor], inputs: Tensor, rows: Tensor) -> Tensor:
        """Of the cell, each with a 1 that takes the bias: [n, D + 1]."""
        named = _named(self._shape, weights)
        outputs, _ = self._passes.forward(cell_weights(named), tf.gather(named["embedding"], inputs), rows)  # [n, D]
        return tf.pad(outputs, [[0, 0], [0, 1]], constant_values=1.0)


@functools.lru_cache(_SHAPES)
def _kept(shape: ModelShape, max_gradient_norm: float, optimizer: LocalOptimizer | None) -> _Traced:
    """What other trainers of a process trace no more: run after run of a sweep has the same shape."""
    return _Traced(shape, max_gradient_norm, optimizer)


def _has_hash(part: object) -> TypeGuard[Hashable]:
    """Whether a part can be looked up; a frozen dataclass has a method for it, and may hold a list all the same."""
    try:
        hash(part)
    except TypeError:
        return False
    return True


def _named(shape: ModelShape, weights: list[Tensor]) -> dict[str, Tensor]:
    return dict(zip(shape.weight_shapes(), weights, strict=True))


def _readout_graph(embedding: Tensor, output_bias: Tensor) -> Tensor:
    """What turns outputs into logits, laid out as their product reads it: [D + 1, V]."""
    return tf.concat([tf.transpose(embedding), output_bias[None, :]], 0)


def _predict_graph(outputs: Tensor, readout: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """(probability of each target [n], logits [n, V])."""
    logits = tf.matmul(outputs, readout)  # [n, V]
    return tf.gather(tf.nn.softmax(logits), targets, batch_dims=1), logits


def _loss_of(
    of_target: NDArray[np.float32], logits: NDArray[np.float32], targets: NDArray[np.int32]
) -> NDArray[np.float32]:
    """Cross-entropy in nats [n] from the probability of each target [n], or from its logits [n, V] where that is tiny.

    A probability costs a third of a log-sum-exp, and has the same digits until it comes near to what float32 holds.
    """
    loss: NDArray[np.float32] = -np.log(np.maximum(of_target, _SURE))  # [n], of a NaN again NaN
    for row in np.flatnonzero(of_target < _SURE):
        exactly = logits[row].astype(np.float64)  # [V]
        highest = exactly.max()
        loss[row] = np.log(np.exp(exactly - highest).sum()) + highest - exactly[targets[row]]
    return loss
