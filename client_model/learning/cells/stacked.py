"""`stacked`: several layers of the `cifg` cell, each from the second on added to what is below it.

y_1 = cifg_1(x), y_l = y_(l-1) + cifg_l(norm(y_(l-1))), output y_L: residual layers with their inputs normalised, as in
Xiong et al., "On layer normalization in the transformer architecture", arXiv:2002.04745. The embedding itself is not
added: the output is read by the same table, and would suggest the word that was just typed.

TensorFlow is imported where it is used: it takes seconds, and shapes are asked for without it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, NamedTuple, TypeVar

import numpy as np
from annotated_types import Ge, Le
from numpy.typing import NDArray

from client_model.learning.cells.base import CellSizes, CellWeight, Tensor, Tensors, Vectors, starting_at
from client_model.learning.cells.cifg import Cifg
from client_model.learning.cells.norm import layer_norm, numpy_layer_norm
from typefleet.doors import Kind, KindSettings

T = TypeVar("T")

_LAYER = Cifg()
_GAIN = "norm_gain"


def _part(layer: int, name: str) -> str:
    return f"layer{layer}_{name}"


class _Norm(NamedTuple):
    """A layer's norm, as the backward pass wants to see it again."""

    tape: Any
    below: Tensor  # [n, D]
    gain: Tensor  # [D]
    read: Tensor  # [n, D]

    @classmethod
    def of(cls, below: Tensor, gain: Tensor) -> "_Norm":
        import tensorflow as tf

        with tf.GradientTape() as tape:
            tape.watch([below, gain])
            read = layer_norm(below, gain)
        return cls(tape, below, gain, read)

    def gradients(self, d_read: Tensor) -> tuple[Tensor, Tensor]:
        """Of what is below [n, D], and of the gain [D]."""
        d_below, d_gain = self.tape.gradient(self.read, [self.below, self.gain], output_gradients=d_read)
        return d_below, d_gain


class _Trace(NamedTuple):
    cells: list[Any]  # of each layer
    norms: list[_Norm]  # of each but the first


@dataclass(frozen=True)
class Stacked(KindSettings):
    """The cell, and how many layers it has."""

    name: ClassVar[str] = "stacked"

    layers: Annotated[int, Ge(2), Le(8)] = 2
    """Layers of cifg, one above the other."""

    def weights(self, sizes: CellSizes) -> dict[str, CellWeight]:
        """Those of each layer, and what its input's norm is multiplied by."""
        found: dict[str, CellWeight] = {}
        for layer in range(1, self.layers + 1):
            if layer > 1:
                found[_part(layer, _GAIN)] = starting_at((1.0, sizes.embedding))
            found |= {_part(layer, name): weight for name, weight in _LAYER.weights(sizes).items()}
        return found

    def state_sizes(self, sizes: CellSizes) -> dict[str, int]:
        """Those of each layer."""
        of_layer = _LAYER.state_sizes(sizes)
        return {_part(n, name): width for n in range(1, self.layers + 1) for name, width in of_layer.items()}

    def step(self, weights: Tensors, x: Tensor, state: Tensors) -> tuple[Tensor, Tensors]:
        """(output [B, D], {layer1_hidden [B, D], layer1_cell [B, U], ...})."""
        output, after = x, dict[str, Any]()
        for layer in range(1, self.layers + 1):
            read = layer_norm(output, weights[_part(layer, _GAIN)]) if layer > 1 else x
            of_layer, following = _LAYER.step(_of_layer(weights, layer), read, _of_layer(state, layer))
            output = output + of_layer if layer > 1 else of_layer  # [B, D]
            after |= {_part(layer, name): part for name, part in following.items()}
        return output, after

    def forward(self, weights: Tensors, x: Tensor, counts: Tensor) -> tuple[Tensor, "_Trace"]:
        """All steps of a packed batch, layer after layer; see `HandWrittenPasses`."""
        output, of_first = _LAYER.forward(_of_layer(weights, 1), x, counts)  # [n, D]
        trace = _Trace([of_first], [])
        for layer in range(2, self.layers + 1):
            norm = _Norm.of(output, weights[_part(layer, _GAIN)])
            of_layer, of_cell = _LAYER.forward(_of_layer(weights, layer), norm.read, counts)
            output = output + of_layer  # [n, D]
            trace.cells.append(of_cell)
            trace.norms.append(norm)
        return output, trace

    def backward(self, weights: Tensors, trace: "_Trace", d_outputs: Tensor) -> tuple[Tensor, Tensors]:
        """Gradients of the inputs and the weights; see `HandWrittenPasses`."""
        gradients: dict[str, Tensor] = {}

        def through(layer: int, d_output: Tensor) -> Tensor:
            d_read, of_cell = _LAYER.backward(_of_layer(weights, layer), trace.cells[layer - 1], d_output)
            gradients.update({_part(layer, name): gradient for name, gradient in of_cell.items()})
            return d_read

        d_output = d_outputs  # [n, D]
        for layer in range(self.layers, 1, -1):
            d_below, gradients[_part(layer, _GAIN)] = trace.norms[layer - 2].gradients(through(layer, d_output))
            d_output = d_output + d_below
        return through(1, d_output), gradients

    def reference_step(
        self, weights: Vectors, x: NDArray[np.float32], state: Vectors
    ) -> tuple[NDArray[np.float32], Vectors]:
        """(output [D], next state) in plain numpy."""
        output, after = x, dict[str, Any]()
        for layer in range(1, self.layers + 1):
            read = numpy_layer_norm(output, weights[_part(layer, _GAIN)]) if layer > 1 else x
            of_layer, following = _LAYER.reference_step(_of_layer(weights, layer), read, _of_layer(state, layer))
            output = output + of_layer if layer > 1 else of_layer
            after |= {_part(layer, name): part for name, part in following.items()}
        return output, after


def _of_layer(named: Mapping[str, T], layer: int) -> dict[str, T]:
    """The weights, or the state, of one layer under the names that they have in it."""
    prefix = _part(layer, "")
    return {name.removeprefix(prefix): tensor for name, tensor in named.items() if name.startswith(prefix)}


KIND = Kind("stacked", "layers of cifg, each added to those below it", make=lambda settings: settings, settings=Stacked)
