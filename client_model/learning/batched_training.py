"""Several phones' local SGD at once, each with weights of its own: products become batched products.

What a GPU wants: a phone's own products are too small to fill it. The function that trains one phone for one batch is
written for one phone, and `tf.vectorized_map` turns it into one for P of them, the cell's passes included, whichever
cell that is. It runs on a processor too, where it is slower than `local_training`.

All shapes are fixed (see `padded_batches`): P phones, B rows, T steps, whoever is trained and however many; places
without a phone are computed and left out. So what comes out for a phone does not depend on the others of its group.
Nothing is scattered: TensorFlow's scattering and segment sums either have no fixed order on a GPU or do not run there
when one is asked for. What belongs to one word is summed by a product with the matrix of equal words, and gathered.

Symbols: P phones, N = T B places of a batch, step after step, V words, D embedding width. The mathematics is
`local_training`'s; the two differ by the order of float32 sums.
"""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from typing import NamedTuple

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from client_model.keyed_random import generator
from client_model.learning.accelerator import DeviceError
from client_model.learning.cells.base import Tensor
from client_model.learning.cells.packed import passes_of
from client_model.learning.language_model import Weights, cell_weights
from client_model.learning.local_training import SMALLEST_PROBABILITY
from client_model.learning.padded_batches import Group, PaddedBatches, padded, probe
from client_model.learning.trainers import LocalResult, Received, Trainer
from client_model.metrics.keystrokes import KeystrokeTable
from client_model.metrics.scored_tokens import TokenScores
from client_model.text.batches import PackedBatches
from typefleet.errors import ConfigError, expected

_PROBE_RATE = 1000.0  # so large that no digit of a gradient is lost beside the weights


class _Received(NamedTuple):
    to_train: list[Tensor]  # [...] each, in order
    to_score: Received


class BatchedTrainer:
    """The traced functions for one model shape and group; make one per process and keep it.

    Scoring is another kernel's, on the processor.

    Args:
        scorer: of the same model; it does not train.
        max_gradient_norm: L2 norm that a step's longer gradient of a phone is scaled down to; 0 for no bound.
        group: what is trained at once, and where.
    """

    def __init__(self, scorer: Trainer, max_gradient_norm: float, group: Group) -> None:
        shape = scorer.shape
        self.shape, self.group = shape, group
        self.phones_at_a_time = group.phones
        self._max_gradient_norm, self._device = max_gradient_norm, f"/{group.device.upper()}:0"
        self._scorer = scorer
        self._passes = passes_of(shape.cell, shape.cell_sizes)
        specs = [tf.TensorSpec(dims, tf.float32) for dims in shape.weight_shapes().values()]
        of_phones = [tf.TensorSpec([group.phones, *spec.shape], tf.float32) for spec in specs]
        tokens = tf.TensorSpec([group.phones, shape.sequence_length * group.rows], tf.int32)
        step_rows = tf.TensorSpec([group.phones, shape.sequence_length], tf.int32)
        places = tf.TensorSpec([group.phones, shape.vocabulary_size], tf.int32)
        rate = tf.TensorSpec([], tf.float32)
        self._start = tf.function(self._start_graph, input_signature=[specs], autograph=False)
        self._step = tf.function(
            self._step_graph,
            input_signature=[of_phones, tokens, tokens, step_rows, places, rate],
            autograph=False,
        )
        self._updates = tf.function(_updates_graph, input_signature=[of_phones, specs], autograph=False)

    @property
    def trace_count(self) -> int:
        """How often TensorFlow traced the training function; more than 1 is a defect."""
        return int(self._step.experimental_get_tracing_count())

    def warm_up(self) -> None:
        """Trace the training now, and see on this device that a phone's bits do not depend on its place in a group.

        Raises:
            DeviceError: they do.
        """
        rng = generator(0, "weights of a probe")
        weights = [rng.normal(0, 0.3, dims).astype(np.float32) for dims in self.shape.weight_shapes().values()]
        phones = [probe(self.shape, self.group.rows)] * self.group.phones
        found = {result.update.tobytes() for result in self.train_together(self.load(weights), phones, _PROBE_RATE)}
        if len(found) > 1:
            with_one = "the same bits in every place of a group (--engine.phones-at-a-time 1, or --engine.device cpu)"
            raise DeviceError(expected("phones trained at once", with_one, f"{len(found)} different ones"))

    def load(self, weights: Weights) -> _Received:
        """Received weights as training takes them, and as scoring does; once for all phones of a message."""
        with _on_processor():
            return _Received([tf.constant(weight) for weight in weights], self._scorer.load(weights))

    def train(self, received: _Received, batches: PackedBatches, learning_rate: float) -> LocalResult:
        """Run SGD over the batches of one phone; the other places of the group are empty."""
        return self.train_together(received, [batches], learning_rate)[0]

    def train_together(
        self, received: _Received, phones: Sequence[PackedBatches], learning_rate: float
    ) -> list[LocalResult]:
        """Run SGD over the batches of several phones, each from the received weights.

        Raises:
            ConfigError: more phones than a group has places, or batches that are larger than it has room for.
        """
        if len(phones) > self.group.phones:
            raise ConfigError(expected("phones trained at once", f"{self.group.phones} at most", len(phones)))
        given = [padded(batches, self.group.rows, self.shape.vocabulary_size) for batches in phones]
        losses = np.zeros(self.group.phones)
        rate = np.float32(learning_rate)
        with tf.device(self._device):
            weights = self._start(received.to_train)
            for batch in self._steps(given):
                loss, weights = self._step(weights, *batch, rate)
                losses += np.asarray(loss)
            updates = np.asarray(self._updates(weights, received.to_train))  # [P, num_weights]
        return [
            LocalResult(updates[place], float(losses[place]), batches.num_tokens)
            for place, batches in enumerate(phones)
        ]

    def score(self, received: _Received, batches: PackedBatches, table: KeystrokeTable) -> TokenScores:
        """Predict every token of the batches; nothing is trained."""
        with _on_processor():
            return self._scorer.score(received.to_score, batches, table)

    def token_losses(self, received: _Received, batches: PackedBatches) -> NDArray[np.float32]:
        """Cross-entropy of every token of the batches, in nats: float32 [tokens]."""
        with _on_processor():
            return self._scorer.token_losses(received.to_score, batches)

    def _steps(self, given: Sequence[PaddedBatches]) -> Iterator[PaddedBatches]:
        """The first batch of all phones, then the second, and so on; phones that have none any more have an empty one.

        Inputs and targets [P, N], rows [P, T], places [P, V].
        """
        places, tokens = self.group.phones, self.shape.sequence_length * self.group.rows
        for number in range(max((len(phone.inputs) for phone in given), default=0)):
            inputs, targets = np.zeros((2, places, tokens), np.int32)
            step_rows = np.zeros((places, self.shape.sequence_length), np.int32)
            at = np.full((places, self.shape.vocabulary_size), 2 * tokens, np.int32)
            for place, phone in enumerate(given):
                if number < len(phone.inputs):
                    inputs[place], targets[place] = phone.inputs[number], phone.targets[number]
                    step_rows[place], at[place] = phone.step_rows[number], phone.places[number]
            yield PaddedBatches(inputs, targets, step_rows, at)

    def _start_graph(self, received: list[Tensor]) -> list[Tensor]:
        return [tf.repeat(w[None], self.group.phones, 0) for w in received]  # [P, ...]

    def _step_graph(
        self, weights: list[Tensor], inputs: Tensor, targets: Tensor, step_rows: Tensor, places: Tensor, rate: Tensor
    ) -> tuple[Tensor, list[Tensor]]:
        """(summed loss [P], weights after a step) of a batch of each phone."""
        found: tuple[Tensor, list[Tensor]] = tf.vectorized_map(
            lambda one: self._step_of_one(one, rate), (weights, inputs, targets, step_rows, places)
        )
        return found

    def _step_of_one(self, one: tuple[list[Tensor], Tensor, Tensor, Tensor, Tensor], rate: Tensor) -> Tensor:
        """One phone's part of `_step_graph`."""
        weights, inputs, targets, step_rows, places = one
        there = tf.range(self.group.rows)[None, :] < step_rows[:, None]  # [T, B]
        there = tf.cast(tf.reshape(there, [-1]), tf.float32)  # [N], 1 where a token is
        loss, gradients = self._loss_and_gradients(weights, inputs, targets, there, places)
        step_size = rate
        if self._max_gradient_norm:
            norm = tf.sqrt(2.0 * tf.add_n([tf.reduce_sum(0.5 * g * g) for g in gradients]))
            step_size = rate * tf.minimum(1.0, self._max_gradient_norm / tf.maximum(norm, 1e-12))
        # A phone without a batch stays as it is, whatever comes of computing with its weights.
        trains = tf.reduce_sum(there) > 0.0
        stepped = [tf.where(trains, w - step_size * g, w) for w, g in zip(weights, gradients, strict=True)]
        return loss, stepped

    def _loss_and_gradients(
        self, weights: list[Tensor], inputs: Tensor, targets: Tensor, there: Tensor, places: Tensor
    ) -> tuple[Tensor, list[Tensor]]:
        """(summed loss, gradient of the mean loss for each weight) of one batch of one phone.

        Args:
            weights: in order.
            inputs, targets: ids, int32 [N].
            there: 1 where a token is, else 0: float32 [N].
            places: see `PaddedBatches`, int32 [V].
        """
        named = dict(zip(self.shape.weight_shapes(), weights, strict=True))
        embedding, of_cell = named["embedding"], cell_weights(named)
        # All rows run at all steps: what is computed where no token is has no gradient.
        counts = tf.constant([self.group.rows] * self.shape.sequence_length)  # [T]
        outputs, trace = self._passes.forward(of_cell, tf.gather(embedding, inputs), counts)  # [N, D]
        share = there / tf.maximum(tf.reduce_sum(there), 1.0)  # [N], of each token in the mean
        softmax = tf.nn.softmax(tf.matmul(outputs, embedding, transpose_b=True) + named["output_bias"])  # [N, V]
        of_target = tf.gather(softmax, targets, batch_dims=1)  # [N]
        loss = -tf.reduce_sum(tf.where(there > 0.0, tf.math.log(tf.maximum(of_target, SMALLEST_PROBABILITY)), 0.0))
        # d logits = share * (softmax - onehot), as in `local_training`.
        shared_outputs = share[:, None] * outputs  # [N, D]
        d_outputs = share[:, None] * (tf.matmul(softmax, embedding) - tf.gather(embedding, targets))  # [N, D]
        d_x, of_cell_weights = self._passes.backward(of_cell, trace, d_outputs)  # [N, D]
        of_words = tf.concat(
            [
                tf.pad(d_x, [[0, 0], [0, 1]]),
                tf.concat([-shared_outputs, -share[:, None]], 1),
            ],
            0,
        )  # [2 N, D + 1], of the embedding's row and of the bias
        summed = _sums_by_word(of_words, tf.concat([inputs, targets], 0), places)  # [V, D + 1]
        d_embedding = tf.matmul(softmax, shared_outputs, transpose_a=True) + summed[:, :-1]  # [V, D]
        d_bias = tf.linalg.matvec(softmax, share, transpose_a=True) + summed[:, -1]  # [V]
        return loss, [d_embedding, *(of_cell_weights[name] for name in of_cell), d_bias]


def _sums_by_word(values: Tensor, words: Tensor, places: Tensor) -> Tensor:
    """The sum of the values of each word: [V, width], zero for a word that is nowhere.

    Args:
        values: [2 N, width].
        words: whose they are, int32 [2 N].
        places: where each word is once, or 2 N, int32 [V].
    """
    same = tf.cast(words[:, None] == words[None, :], tf.float32)  # [2 N, 2 N]
    sums = tf.matmul(same, values)  # [2 N, width], of each place's word
    return tf.gather(tf.pad(sums, [[0, 1], [0, 0]]), places)


def _updates_graph(trained: list[Tensor], received: list[Tensor]) -> Tensor:
    """Trained minus received weights: [P, num_weights]."""
    return tf.concat([tf.reshape(t - r, [tf.shape(t)[0], -1]) for t, r in zip(trained, received, strict=True)], 1)


def _on_processor() -> AbstractContextManager[None]:
    """Scoring stays there: its products have the sizes of the text, and its ranks are NumPy's."""
    context: AbstractContextManager[None] = tf.device("/CPU:0")
    return context
