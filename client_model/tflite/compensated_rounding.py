"""Round weights to 8 bits so that their errors cancel where the model works.

The converter rounds each number to the nearest step of its row. What a product makes of it depends on its inputs: where
they always rise and fall together, the error of one number can be made up for by rounding its neighbours the other way.
So a row is rounded number by number, and what each loses is taken from those that are still to come, as the inputs'
second moments say. That costs no byte. Small matrices, of which a row sums over many inputs, lose more than they weigh,
and are kept in 16 bits.

Frantar, Ashkboos, Hoefler and Alistarh, "GPTQ: accurate post-training quantization for generative pre-trained
transformers", arXiv:2210.17323, section 3 and Algorithm 1, without its blocks; the order of the numbers is that of
their inputs' mean squares, falling.

The inputs are those of messages that the model itself makes up, so that no text of anybody is needed, and what the file
says depends on the trained weights alone.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from numpy.typing import NDArray
from scipy.linalg.blas import dsyr

from client_model.keyed_random import generator
from client_model.learning.cells.base import NumpyReference, Vectors
from client_model.learning.language_model import ModelShape, Weights, cell_weights
from client_model.text.vocabulary import BOS, EOS, PAD
from client_model.tflite.flatbuffer_model import pack_model, unpack_model
from client_model.tflite.tied_table import dequantised, is_int8

_TOKENS = 4_000  # of made-up messages
_DAMPING = 0.1  # of the mean second moment, added to each: no direction is free
_LARGEST = 127
_SMALL_SHARE = 1 / 25  # of all weights; a matrix that has no more is kept in 16 bits


@dataclass
class Product:
    """A product of the model: its weights as the converter stores them, and the second moments of what comes in."""

    rows: NDArray[np.float32]  # [outputs, inputs]
    _sums: NDArray[np.float64] = field(init=False)  # [inputs, inputs], of which the lower triangle counts

    def __post_init__(self) -> None:
        self._sums = np.zeros((self.rows.shape[1],) * 2, order="F")

    def read(self, inputs: NDArray[Any]) -> None:
        """Take in what came in: float32 [..., inputs]."""
        seen = inputs.reshape(-1, self.rows.shape[1]).astype(np.float64)
        if len(seen) == 1:  # in place; a product of two float32 is exact, so the bits are those of `seen.T @ seen`
            self._sums = dsyr(1.0, seen[0], lower=1, a=self._sums, overwrite_a=True)
        else:
            self._sums += seen.T @ seen

    @property
    def moments(self) -> NDArray[np.float64]:
        """[inputs, inputs], summed over what came in."""
        return np.tril(self._sums) + np.tril(self._sums, -1).T


class _Watched(np.ndarray[Any, Any]):
    """A weight that tells its product what it is multiplied with: `inputs @ weight`."""

    product: Product | None

    def __array_finalize__(self, of: object) -> None:
        self.product = None  # of a part of the weight nothing is known

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **named: Any) -> Any:
        if ufunc is np.matmul and inputs[1] is self and self.product is not None:
            self.product.read(np.asarray(inputs[0]))
        plain = [part.view(np.ndarray) if isinstance(part, _Watched) else part for part in inputs]
        return getattr(ufunc, method)(*plain, **named)


def with_compensated_rounding(file: bytes, shape: ModelShape, weights: Weights) -> bytes:
    """The same int8 model with its weights rounded anew; their scales, and all else, stay.

    Tensors in 16 bits are not for a product to read: `float_products.with_float_products` comes next.

    A cell without a numpy reference is left as it is, and so is a weight that the file holds in another form.

    Args:
        file: the model, as converted from the weights.
        shape, weights: of the trained model.
    """
    if not isinstance(shape.cell, NumpyReference):
        return file
    products = _products(shape, shape.cell, dict(zip(shape.weight_shapes(), weights, strict=True)))
    model = unpack_model(file)
    found: list[tuple[schema.TensorT, Product]] = []
    for tensor in _tables(model):
        if (product := _product_of(model, tensor, products)) is not None:
            found.append((tensor, product))
    for tensor, product in found:
        if product.rows.size <= _SMALL_SHARE * shape.num_weights:
            _keep_in_16_bits(model, tensor, product)
        else:
            _round_anew(model, tensor, product)
    return pack_model(model)


def _tables(model: schema.ModelT) -> Iterator[schema.TensorT]:
    """The matrices in 8 bits."""
    for graph in model.subgraphs:
        for number, tensor in enumerate(graph.tensors):
            if is_int8(graph, number) and len(tensor.shape) == 2:
                yield tensor


def _product_of(model: schema.ModelT, tensor: schema.TensorT, products: list[Product]) -> Product | None:
    """The product whose weights a tensor holds, if anything came into it."""
    values, step = dequantised(model, tensor)
    for product in products:
        same = product.rows.shape == values.shape and (np.abs(values - product.rows) <= 0.51 * step).all()
        if same and product.moments.any():
            return product
    return None


def _round_anew(model: schema.ModelT, tensor: schema.TensorT, product: Product) -> None:
    _, step = dequantised(model, tensor)
    rounded = compensated(product.rows, step, product.moments)
    model.buffers[tensor.buffer].data = rounded.reshape(-1).view(np.uint8)


def _keep_in_16_bits(model: schema.ModelT, tensor: schema.TensorT, product: Product) -> None:
    tensor.type, tensor.quantization = schema.TensorType.FLOAT16, None
    model.buffers[tensor.buffer].data = product.rows.astype(np.float16).reshape(-1).view(np.uint8)


def compensated(rows: NDArray[np.float32], step: NDArray[np.float32], moments: NDArray[np.float64]) -> NDArray[np.int8]:
    """Whole numbers of steps for each number of `rows`: int8 [outputs, inputs].

    Args:
        rows: weights, float32 [outputs, inputs].
        step: of each row, [outputs or 1, 1].
        moments: of the inputs, [inputs, inputs], positive semidefinite.
    """
    order = np.argsort(-np.diag(moments), kind="stable")  # what matters most is rounded first, while others can help
    damped = moments[np.ix_(order, order)]
    damped = damped + _DAMPING * np.trace(damped) / len(order) * np.eye(len(order))
    later = np.linalg.cholesky(np.linalg.inv(damped)).T  # [inputs, inputs], upper
    wanted = rows[:, order] / np.maximum(step.astype(np.float64), np.finfo(np.float32).tiny)  # in steps
    rounded = np.empty(wanted.shape, np.int8)
    for place in range(len(order)):
        steps = np.clip(np.rint(wanted[:, place]), -_LARGEST, _LARGEST)  # [outputs]
        rounded[:, order[place]] = steps
        lost = (wanted[:, place] - steps) / later[place, place]  # [outputs]
        wanted[:, place + 1 :] -= lost[:, None] * later[place, place + 1 :]
    return rounded


def _products(shape: ModelShape, cell: NumpyReference, named: dict[str, NDArray[np.float32]]) -> list[Product]:
    """The products with the table and with each of the cell's matrices."""
    table = Product(named["embedding"])
    watched: dict[str, NDArray[np.float32]] = {}
    products = [table]
    for name, weight in cell_weights(named).items():
        watched[name] = weight
        if weight.ndim == 2:
            products.append(Product(np.ascontiguousarray(weight.T)))
            view = weight.view(_Watched)
            view.product = products[-1]
            watched[name] = view
    for output in _outputs_of_made_up_messages(shape, cell, named, watched):
        table.read(output)
    return products


def _outputs_of_made_up_messages(
    shape: ModelShape, cell: NumpyReference, named: dict[str, NDArray[np.float32]], of_cell: Vectors
) -> Iterator[NDArray[np.float32]]:
    """What the cell gives after each token, [D], of messages whose next token is drawn as the model says."""
    embedding, bias = named["embedding"], named["output_bias"]
    rng = generator(0, "messages to round the weights on")
    token, left = EOS, 0
    state: Vectors = {}
    for _ in range(_TOKENS):
        if token == EOS or not left:
            token, left = BOS, shape.sequence_length
            state = {name: np.zeros(width, np.float32) for name, width in shape.state_sizes.items()}
        output, state = cell.reference_step(of_cell, embedding[token], state)
        output = np.asarray(output)
        yield output
        logits = (embedding @ output + bias).astype(np.float64)  # [V]
        logits[[PAD, BOS]] = -np.inf
        chances = np.exp(logits - logits.max()).cumsum()  # [V]
        token, left = int(np.searchsorted(chances, rng.random() * chances[-1])), left - 1
