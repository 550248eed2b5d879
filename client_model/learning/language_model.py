"""The next-word model: names, shapes, order and starting values of its weights.

One frame for every cell (`client_model.learning.cells`): a tied embedding E, the cell, whose output h has the width of
the embedding, and logits = h E' + b. The embedding stands first, the output bias b last, the cell's weights between.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from client_model.config import PRESETS, ModelConfig
from client_model.keyed_random import generator
from client_model.learning.cells.base import Cell, CellSizes, CellWeight

Weights = list[NDArray[np.float32]]
T = TypeVar("T")

_EMBEDDING_LIMIT = 0.4  # the embedding starts uniform within it
FRAME_WEIGHTS = ("embedding", "output_bias")


@dataclass(frozen=True)
class ModelShape:
    """The cell, and the sizes that fix every weight's shape."""

    cell: Cell
    vocabulary_size: int
    embedding_size: int
    units: int
    sequence_length: int

    @property
    def sizes(self) -> dict[str, int]:
        """The sizes by name."""
        names = ("vocabulary_size", "embedding_size", "units", "sequence_length")
        return {name: getattr(self, name) for name in names}

    @property
    def cell_sizes(self) -> CellSizes:
        """What the cell needs to know of them."""
        return CellSizes(self.embedding_size, self.units)

    @property
    def state_sizes(self) -> dict[str, int]:
        """Widths of the parts of the cell's state, by name."""
        return dict(self.cell.state_sizes(self.cell_sizes))

    def weights(self) -> dict[str, CellWeight]:
        """Name -> shape and starting values, in the order in which weights are kept, sent and flattened."""
        table = (self.vocabulary_size, self.embedding_size)
        return {
            "embedding": CellWeight(table, lambda rng: rng.uniform(-_EMBEDDING_LIMIT, _EMBEDDING_LIMIT, table)),
            **self.cell.weights(self.cell_sizes),
            "output_bias": CellWeight((self.vocabulary_size,), lambda _: np.zeros(self.vocabulary_size)),
        }

    def weight_shapes(self) -> dict[str, tuple[int, ...]]:
        """Name -> shape, in order."""
        return {name: weight.shape for name, weight in self.weights().items()}

    @property
    def num_weights(self) -> int:
        """Length of a flat update."""
        return sum(int(np.prod(shape)) for shape in self.weight_shapes().values())


def model_shape(config: ModelConfig, vocabulary_size: int | None = None, cell: Cell | None = None) -> ModelShape:
    """Resolve preset and overrides.

    Args:
        config: of the model.
        vocabulary_size: the true one, once the text is known.
        cell: one that was handed in, instead of the one that the configuration names.

    Raises:
        UnknownKindError, ConfigError: the configuration names no cell, or has settings of another one.
    """
    _, d, u = PRESETS[config.preset]
    return ModelShape(
        cell or config.make_cell(),
        vocabulary_size or wanted_vocabulary_size(config),
        config.embedding_size or d,
        config.units or u,
        config.sequence_length,
    )


def wanted_vocabulary_size(config: ModelConfig) -> int:
    """Rows of the embedding if the text has as many words."""
    return config.vocabulary_size or PRESETS[config.preset][0]


def initial_weights(shape: ModelShape, seed: int) -> Weights:
    """The values that training starts from; each weight has a random generator of its own."""
    return [
        weight.initial(generator(seed, "initial weights", index)).astype(np.float32)
        for index, weight in enumerate(shape.weights().values())
    ]


def cell_weights(named: Mapping[str, T]) -> dict[str, T]:
    """The cell's own among all weights by name, in order."""
    return {name: weight for name, weight in named.items() if name not in FRAME_WEIGHTS}


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
