"""Trained weights that read many messages at the same time, a token of each in every step."""

from collections.abc import Mapping, Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from client_model.learning.cells.base import Tensor, Tensors
from client_model.learning.language_model import ModelShape, cell_weights, unflatten
from client_model.text.vocabulary import BOS

State: TypeAlias = Tensors  # parts by name, each float32 [B, width]


class BatchedModel:
    """The model of some weights, in float32; its states are handed in and out, and never changed.

    Args:
        shape: of the model.
        flat: its weights, float32 [num_weights].
    """

    def __init__(self, shape: ModelShape, flat: NDArray[np.float32]) -> None:
        import tensorflow as tf  # takes seconds to import

        self._tf, self._shape = tf, shape
        named: Mapping[str, Tensor] = {
            name: tf.constant(weight)
            for name, weight in zip(shape.weight_shapes(), unflatten(flat.astype(np.float32), shape), strict=True)
        }
        self._embedding, self._output_bias = named["embedding"], named["output_bias"]
        self._cell = cell_weights(named)

    def step(self, tokens: NDArray[np.int64], state: State) -> tuple[NDArray[np.float32], State]:
        """(log-probabilities of what comes next [B, V], state) after one more token of each message.

        Args:
            tokens: int [B].
            state: before them.
        """
        tf = self._tf
        x = tf.gather(self._embedding, tokens)  # [B, D]
        output, after = self._shape.cell.step(self._cell, x, state)  # [B, D]
        logits = tf.matmul(output, self._embedding, transpose_b=True) + self._output_bias  # [B, V]
        known: NDArray[np.float32] = tf.nn.log_softmax(logits).numpy()
        return known, {name: after[name] for name in state}

    def rows(self, state: State, chosen: NDArray[np.int64]) -> State:
        """The states of some messages, some of them perhaps several times.

        Args:
            state: of all.
            chosen: int [B], places among them.
        """
        return {name: self._tf.gather(part, chosen) for name, part in state.items()}

    def after(self, prefix: Sequence[int]) -> tuple[NDArray[np.float32], State]:
        """(log-probabilities of what comes next [1, V], state) after the words that begin a message.

        Args:
            prefix: ids.
        """
        state: State = {name: self._tf.zeros((1, width)) for name, width in self._shape.state_sizes.items()}
        known = np.zeros((1, 0), np.float32)
        for token in (BOS, *prefix):
            known, state = self.step(np.array([token]), state)
        return known, state
