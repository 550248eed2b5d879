"""The network as TensorFlow modules that convert to TFLite: one that suggests, one that also learns.

The time loop is unrolled and only builtin operators come out, which is all that the interpreters on phones
have. `KeyboardModule` holds constant weights (batch 1):

    step:   token int32 [1], and each part NAME of the cell's state, float32 [1, width]
            -> ids int32 [1, 3], probabilities float32 [1, 3], logits float32 [1, V], each NAME_out
            what a keyboard calls once a word; start from zeros and <bos>. While the next word is typed, the
            logits rank the words that begin with its letters, without another call
    score:  tokens int32 [1, T], length int32 [1] -> ids int32 [1, 3], probabilities float32 [1, 3]
            suggestions after the first `length` tokens of a sentence

`LearningKeyboardModule` holds variables:

    train:    inputs int32 [B, T], targets int32 [B, T], learning_rate float32 [1] -> loss float32 [1]
              one step of SGD on the mean cross-entropy over the tokens whose target is not <pad>, with the
              gradient scaled down to the bound that the weights were trained with
    infer:    as step
    save:     request int32 [1] -> every weight by name, and saved int32 [1], the request again
              (the request is there because Java's interpreter refuses to call a signature without inputs)
    restore:  every weight by name -> restored int32 [1]

Probabilities are over the whole vocabulary; special tokens and punctuation are never suggested. The order
of suggestions is that of the logits: probabilities of a very sure model are equal where its logits differ.
"""

from typing import Any

import numpy as np
import tensorflow as tf

from client_model.learning.cells.base import Tensors
from client_model.learning.language_model import ModelShape, Weights, cell_weights
from client_model.metrics.keystrokes import SUGGESTIONS
from client_model.text.vocabulary import FIRST_WORD, PAD
from client_model.tflite.interpreter import next_name

TRAINING_BATCH = 8  # sequences


def run_through(w: dict[str, Any], shape: ModelShape, tokens: Any) -> list[Any]:
    """Outputs [B, D] after each of the T tokens of B sentences [B, T], from an empty state."""
    batch, steps = tokens.shape
    rows = tf.gather(w["embedding"], tf.reshape(tf.transpose(tokens), [-1]))  # [T B, D], all in one lookup
    state: Tensors = {name: tf.zeros([batch, width]) for name, width in shape.state_sizes.items()}
    outputs = []
    for x in tf.split(rows, steps):
        output, state = shape.cell.step(cell_weights(w), x, state)
        outputs.append(output)
    return outputs


def logits_of(w: dict[str, Any], output: Any) -> Any:
    """[B, V] from [B, D]; the output table is the embedding."""
    return tf.matmul(output, w["embedding"], transpose_b=True) + w["output_bias"]


def suggest(logits: Any) -> tuple[Any, Any]:
    """(ids [1, 3], probabilities [1, 3]) of the three likeliest words."""
    _, places = tf.math.top_k(logits[:, FIRST_WORD:], k=SUGGESTIONS)
    ids = places + FIRST_WORD  # [1, 3]
    probabilities = tf.gather(tf.reshape(tf.nn.softmax(logits), [-1]), tf.reshape(ids, [-1]))  # [3]
    return ids, tf.reshape(probabilities, [1, SUGGESTIONS])


def state_specs(shape: ModelShape) -> list[tf.TensorSpec]:
    """Inputs for the parts of the cell's state, in their order."""
    return [tf.TensorSpec([1, width], tf.float32, name) for name, width in shape.state_sizes.items()]


def _step(w: dict[str, Any], shape: ModelShape, token: Any, *state: Any) -> dict[str, Any]:
    parts = dict(zip(shape.state_sizes, state, strict=True))
    output, after = shape.cell.step(cell_weights(w), tf.gather(w["embedding"], token), parts)
    logits = logits_of(w, output)
    ids, probabilities = suggest(logits)
    following = {next_name(name): after[name] for name in parts}
    return {"ids": ids, "probabilities": probabilities, **following, "logits": logits}


class KeyboardModule(tf.Module):  # type: ignore[misc]  # TensorFlow has no types
    """Suggests; see the module docstring."""

    def __init__(self, shape: ModelShape, weights: Weights) -> None:
        super().__init__()
        self.shape = shape
        self.weights = {n: tf.constant(w, name=n) for n, w in zip(shape.weight_shapes(), weights, strict=True)}
        token = tf.TensorSpec([1], tf.int32, "token")
        self.step = tf.function(
            lambda token, *state: _step(self.weights, shape, token, *state),
            input_signature=[token, *state_specs(shape)],
            autograph=False,
        )
        self.score = tf.function(
            self._score,
            input_signature=[
                tf.TensorSpec([1, shape.sequence_length], tf.int32, "tokens"),
                tf.TensorSpec([1], tf.int32, "length"),
            ],
            autograph=False,
        )

    @property
    def signatures(self) -> dict[str, Any]:
        """What a file that suggests can be called with, by name."""
        return {"step": self.step, "score": self.score}

    def _score(self, tokens: Any, length: Any) -> dict[str, Any]:
        outputs = run_through(self.weights, self.shape, tokens)
        last = tf.gather(tf.concat(outputs, 0), length - 1)  # [1, D], before the one vocabulary product
        ids, probabilities = suggest(logits_of(self.weights, last))
        return {"ids": ids, "probabilities": probabilities}


class LearningKeyboardModule(tf.Module):  # type: ignore[misc]
    """Suggests and learns; see the module docstring."""

    def __init__(self, shape: ModelShape, weights: Weights, max_gradient_norm: float) -> None:
        super().__init__()
        self.shape, self._max_gradient_norm = shape, max_gradient_norm
        names = list(shape.weight_shapes())
        self.weights = {n: tf.Variable(w, name=n) for n, w in zip(names, weights, strict=True)}
        batch = [TRAINING_BATCH, shape.sequence_length]
        self.train = tf.function(
            self._train,
            input_signature=[
                tf.TensorSpec(batch, tf.int32, "inputs"),
                tf.TensorSpec(batch, tf.int32, "targets"),
                tf.TensorSpec([1], tf.float32, "learning_rate"),
            ],
            autograph=False,
        )
        self.infer = tf.function(
            lambda token, *state: _step(self.weights, shape, token, *state),
            input_signature=[tf.TensorSpec([1], tf.int32, "token"), *state_specs(shape)],
            autograph=False,
        )
        self.save = tf.function(
            lambda request: {"saved": tf.identity(request), **{n: tf.identity(v) for n, v in self.weights.items()}},
            input_signature=[tf.TensorSpec([1], tf.int32, "request")],
            autograph=False,
        )
        specs = [tf.TensorSpec(dims, tf.float32, name) for name, dims in shape.weight_shapes().items()]
        self.restore = tf.function(self._restore, input_signature=specs, autograph=False)

    @property
    def signatures(self) -> dict[str, Any]:
        """What a file that learns can be called with, by name."""
        return {"train": self.train, "infer": self.infer, "save": self.save, "restore": self.restore}

    def _restore(self, *values: Any) -> dict[str, Any]:
        for variable, value in zip(self.weights.values(), values, strict=True):
            variable.assign(value)
        return {"restored": tf.ones([1], tf.int32)}

    def _loss(self, inputs: Any, targets: Any) -> Any:
        outputs = run_through(self.weights, self.shape, inputs)
        logits = logits_of(self.weights, tf.concat(outputs, 0))  # [T B, V]
        target = tf.reshape(tf.transpose(targets), [-1])  # [T B]
        real = tf.cast(tf.not_equal(target, PAD), tf.float32)
        wanted = tf.one_hot(target, self.shape.vocabulary_size)  # [T B, V]
        loss = -tf.reduce_sum(wanted * tf.nn.log_softmax(logits), 1)  # [T B]
        return tf.reduce_sum(loss * real) / tf.maximum(tf.reduce_sum(real), 1.0)

    def _train(self, inputs: Any, targets: Any, learning_rate: Any) -> dict[str, Any]:
        variables = list(self.weights.values())
        with tf.GradientTape() as tape:
            loss = self._loss(inputs, targets)
        gradients = [tf.convert_to_tensor(g) for g in tape.gradient(loss, variables)]
        rate = learning_rate[0]
        if self._max_gradient_norm:
            norm = tf.sqrt(tf.add_n([tf.reduce_sum(g * g) for g in gradients]))
            rate = rate * tf.minimum(1.0, self._max_gradient_norm / tf.maximum(norm, np.float32(1e-12)))
        for variable, gradient in zip(variables, gradients, strict=True):
            variable.assign_sub(rate * gradient)
        return {"loss": tf.reshape(loss, [1])}
