"""What a recurrent cell is.

Every model has the same frame: a tied embedding E, a cell, and logits = h E' + b, where h is the output of the cell
for one token. The cell is what is exchangeable: its weights stand between `embedding` and `output_bias`, in the order
in which it names them, wherever weights are kept, sent or exported.

| symbol | size |
|---|---|
| V | words of the vocabulary |
| D | width of the embedding, and of the cell's output |
| U | units of the cell |
| B | rows: sentences that are read at the same time |
| n, T | tokens of a packed batch, its time steps; see `client_model.text.batches` |

One method says what a cell does: `step`. From it are made, without a word more: training (by automatic
differentiation), scoring, the files for phones, and the reference that these are held to. A cell may bring passes of
its own for training (`HandWrittenPasses`) and a second, independent reference (`NumpyReference`).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

Tensor = Any  # TensorFlow ships no usable types
Tensors = Mapping[str, Tensor]  # by name
Vectors = Mapping[str, NDArray[np.float32]]  # by name; weights, or a state without the dimension of the rows


@dataclass(frozen=True)
class CellSizes:
    """What the shapes of a cell depend on."""

    embedding: int  # D
    units: int  # U


@dataclass(frozen=True)
class CellWeight:
    """One weight of a cell.

    Attributes:
        shape: of the array.
        initial: draws the values that training starts from, in that shape; the generator is this weight's own.
    """

    shape: tuple[int, ...]
    initial: Callable[[np.random.Generator], NDArray[np.float64]]


def glorot(fan_in: int, columns: int, fan_out: int | None = None) -> CellWeight:
    """A matrix [fan_in, columns] that starts uniform within sqrt(6 / (fan_in + fan_out)).

    Args:
        fan_in: rows.
        columns: of all gates together, where several gates lie side by side.
        fan_out: columns of one gate, which is a map of its own; None: all of them.

    Source: Glorot and Bengio 2010, "Understanding the difficulty of training deep feedforward neural networks",
    equation 16.
    """
    limit = float(np.sqrt(6 / (fan_in + (fan_out or columns))))
    return CellWeight((fan_in, columns), lambda rng: rng.uniform(-limit, limit, (fan_in, columns)))


def starting_at(*blocks: tuple[float, int]) -> CellWeight:
    """A vector of constant blocks, such as a bias: `starting_at((1.0, units), (0.0, 2 * units))`."""
    values = np.concatenate([np.full(size, value) for value, size in blocks])
    return CellWeight(values.shape, lambda _: values)


class Cell(Protocol):
    """A recurrent cell. It is never changed, and equal if it computes the same: a frozen dataclass suits it.

    What `step` computes for one row must not depend on the other rows: how many of them are run at the same time, and
    which, differs between training, scoring and phones.
    """

    @property
    def name(self) -> str:
        """In lower case, as flags and files have it."""

    def weights(self, sizes: CellSizes) -> Mapping[str, CellWeight]:
        """The cell's weights by name, in order; float32."""

    def state_sizes(self, sizes: CellSizes) -> Mapping[str, int]:
        """Widths of the parts of the recurrent state, by name; the state of an empty message is zero.

        An exported file takes each part as an input of this name, and gives the next one as `NAME_out`.
        """

    def step(self, weights: Tensors, x: Tensor, state: Tensors) -> tuple[Tensor, Tensors]:
        """Read one more token.

        Only operators that TFLite has built in, and whose gradients it has too: split with `tf.split`, since the
        gradient of a slice is none of them.

        Args:
            weights: by name.
            x: the token's row of the embedding, float32 [B, D].
            state: float32 [B, width] by name.

        Returns:
            (output [B, D], next state).
        """


@runtime_checkable
class HandWrittenPasses(Protocol):
    """Passes over a packed batch, for a cell that wants to train faster than by automatic differentiation.

    The rows of step t are the first `counts[t]` of those of step t - 1; they stand after them in every packed tensor.
    """

    def forward(self, weights: Tensors, x: Tensor, counts: Tensor) -> tuple[Tensor, Any]:
        """(outputs [n, D], whatever `backward` wants to see again).

        Args:
            weights: by name.
            x: embedded tokens, [n, D].
            counts: rows that still run at each step, int32 [T]; they may end in zeros.
        """

    def backward(self, weights: Tensors, trace: Any, d_outputs: Tensor) -> tuple[Tensor, Tensors]:
        """(gradient of x [n, D], gradient of each weight by name), given that of the outputs [n, D]."""


@runtime_checkable
class NumpyReference(Protocol):
    """A second implementation of `step`, which the exported files are held to in the place of `step` itself."""

    def reference_step(
        self, weights: Vectors, x: NDArray[np.float32], state: Vectors
    ) -> tuple[NDArray[np.float32], Vectors]:
        """As `step`, in plain numpy, for one row: x [D], state [width] -> (output [D], next state)."""


def numpy_sigmoid(x: NDArray[np.float32]) -> NDArray[np.float32]:
    """1 / (1 + exp(-x)); never overflows."""
    value: NDArray[np.float32] = 0.5 + 0.5 * np.tanh(0.5 * x)
    return value
