"""The next-word model: names, shapes, order and starting values of its weights.

Two cells share one frame: a tied embedding E, a recurrent cell, a projection P of its units back to
the width of the embedding, and logits = (h P) E' + b.

* `cifg`: LSTM with coupled input and forget gate (input = 1 - forget) whose recurrent input is the
  projected state h P, as in Hard et al., "Federated learning for mobile keyboard prediction",
  arXiv:1811.03604, section 2. Gate order: forget, output, candidate.
* `lstm`: the plain cell (Hochreiter and Schmidhuber 1997, with forget gate); its recurrent input is
  h itself. Gate order: input, forget, output, candidate.
"""

import hashlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from client_model.config import ModelConfig
from client_model.keyed_random import generator

Weights = list[NDArray[np.float32]]

_PRESETS = {"small": (5_000, 64, 256), "gboard": (10_000, 96, 670)}
_NUM_GATES = {"cifg": 3, "lstm": 4}


@dataclass(frozen=True)
class ModelShape:
    """Sizes that fix every weight's shape."""

    cell: str
    vocabulary_size: int
    embedding_size: int
    units: int
    sequence_length: int

    @property
    def num_gates(self) -> int:
        """Blocks of `units` columns in the kernels."""
        return _NUM_GATES[self.cell]

    @property
    def recurrent_size(self) -> int:
        """Width of the recurrent state: the projected one of `cifg`, the units of `lstm`."""
        return self.embedding_size if self.cell == "cifg" else self.units

    def weight_shapes(self) -> dict[str, tuple[int, ...]]:
        """Name -> shape, in the order in which weights are kept, sent and flattened."""
        v, d, u = self.vocabulary_size, self.embedding_size, self.units
        return {
            "embedding": (v, d),
            "input_kernel": (d, self.num_gates * u),
            "recurrent_kernel": (self.recurrent_size, self.num_gates * u),
            "gate_bias": (self.num_gates * u,),
            "projection": (u, d),
            "output_bias": (v,),
        }

    @property
    def num_weights(self) -> int:
        """Length of a flat update."""
        return sum(int(np.prod(shape)) for shape in self.weight_shapes().values())


def model_shape(config: ModelConfig, vocabulary_size: int | None = None) -> ModelShape:
    """Resolve preset and overrides; `vocabulary_size` is the true size once the text is known."""
    v, d, u = _PRESETS[config.preset]
    return ModelShape(
        config.cell,
        vocabulary_size or config.vocabulary_size or v,
        config.embedding_size or d,
        config.units or u,
        config.sequence_length,
    )


def initial_weights(shape: ModelShape, seed: int) -> Weights:
    """Starting weights: Glorot-uniform kernels, small embedding, forget bias 1."""
    weights = []
    for index, (name, dims) in enumerate(shape.weight_shapes().items()):
        rng = generator(seed, "initial weights", index)
        if len(dims) == 2:
            fan_out = shape.units if name.endswith("kernel") else dims[1]  # each gate is a map of its own
            limit = 0.4 if name == "embedding" else float(np.sqrt(6 / (dims[0] + fan_out)))
            value = rng.uniform(-limit, limit, dims)
        else:
            value = np.zeros(dims)
        if name == "gate_bias":
            forget = 0 if shape.cell == "cifg" else 1
            value[forget * shape.units : (forget + 1) * shape.units] = 1.0
        weights.append(value.astype(np.float32))
    return weights


def weights_sha256(flat: NDArray[np.float32]) -> str:
    """SHA-256 of the weights as little-endian float32, in order."""
    return hashlib.sha256(flat.astype("<f4").tobytes()).hexdigest()


def flatten(weights: Weights) -> NDArray[np.float32]:
    """One float32 vector [num_weights]."""
    return np.concatenate([w.ravel() for w in weights])


def unflatten(flat: NDArray[np.float32], shape: ModelShape) -> Weights:
    """Inverse of `flatten`; the arrays are views."""
    weights, at = [], 0
    for dims in shape.weight_shapes().values():
        size = int(np.prod(dims))
        weights.append(flat[at : at + size].reshape(dims))
        at += size
    return weights
