"""The trained weights as a model of their own, which every exported file is held to.

A cell's numpy reference is a second implementation, independent of TensorFlow; all built-in cells have one. For a cell
without, its `step` is run eagerly in float32, one token after another: what conversion, quantisation and the
interpreter make of it is still held to something that none of them has touched.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from client_model.learning.cells.base import NumpyReference, Vectors
from client_model.learning.language_model import ModelShape, Weights, cell_weights

Step = Callable[[NDArray[np.float32], Vectors], tuple[NDArray[np.float32], Vectors]]
"""(x [D], state [width] by name) -> (output [D], next state)."""


class ReferenceModel:
    """Trained weights, read token by token."""

    def __init__(self, shape: ModelShape, weights: Weights) -> None:
        named = dict(zip(shape.weight_shapes(), weights, strict=True))
        self._embedding, self._output_bias = named["embedding"], named["output_bias"]
        self._widths = shape.state_sizes
        self._step = _step_of(shape, cell_weights(named))

    def logits(self, inputs: NDArray[np.int32]) -> NDArray[np.float32]:
        """[length, V] after each token of a message."""
        state: Vectors = {name: np.zeros(width, np.float32) for name, width in self._widths.items()}
        rows = []
        for token in inputs:
            output, state = self._step(self._embedding[int(token)], state)
            rows.append(output @ self._embedding.T + self._output_bias)
        return np.stack(rows)


def _step_of(shape: ModelShape, weights: dict[str, NDArray[np.float32]]) -> Step:
    cell = shape.cell
    if isinstance(cell, NumpyReference):
        reference = cell.reference_step
        return lambda x, state: reference(weights, x, state)
    import tensorflow as tf  # takes seconds to import; a numpy reference needs none

    tensors = {name: tf.constant(weight) for name, weight in weights.items()}

    def eagerly(x: NDArray[np.float32], state: Vectors) -> tuple[NDArray[np.float32], Vectors]:
        rows = {name: tf.constant(part[None]) for name, part in state.items()}
        output, after = cell.step(tensors, tf.constant(x[None]), rows)
        return output[0].numpy(), {name: after[name][0].numpy() for name in state}

    return eagerly
