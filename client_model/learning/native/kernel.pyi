"""The module in C. Arrays are C-contiguous; what does not fit is a ValueError, or a TypeError. See variant.h."""

import numpy as np
from numpy.typing import NDArray

from client_model.metrics.keystrokes import KeystrokeTable

Floats = NDArray[np.float32]
Ids = NDArray[np.int32]
Longs = NDArray[np.int64]
Model = tuple[str, int, int, int, int, int]  # variant, cell as sizes.h numbers it, layers, words, width, units

def variants() -> list[str]:
    """Those that this machine runs, the fastest first; all give the same bits."""

def portable_is_fast() -> bool:
    """Whether the portable variant multiplies and adds in one instruction."""

def training_floats(model: Model, tokens: int, rows: int, /) -> int:
    """Floats of memory for training on batches of at most so many tokens, of at most so many rows."""

def train(
    model: Model,
    weights: tuple[Floats, Floats],
    text: tuple[Ids, Ids, Ids, int],
    sgd: tuple[float, float],
    memory: Floats,
    /,
) -> float:
    """Train on all batches from the received weights; the summed loss in nats.

    Args:
        model: what is trained.
        weights: (received, update) [num_weights] each; the second is set to trained minus received ones.
        text: (inputs [tokens], targets [tokens], rows of each step of each batch [batches * steps], steps).
        sgd: (learning rate, L2 norm of a gradient at most, 0 for no bound).
        memory: [training_floats]; nothing in it matters before or after.
    """

def outputs_floats(model: Model, tokens: int, rows: int, /) -> int:
    """As `training_floats`, for `outputs`."""

def outputs(model: Model, weights: tuple[Floats, Floats], text: tuple[Ids, Ids, int], memory: Floats, /) -> None:
    """What the cell gives for each token, which the output layer reads.

    Args:
        model: that reads.
        weights: (received [num_weights], outputs [tokens, width], which are set).
        text: (inputs [tokens], rows of each step of each batch [batches * steps], steps).
        memory: [outputs_floats].
    """

def scoring_floats(variant: str, words: int, width: int, /) -> int:
    """Floats that scoring with one set of weights keeps and works in."""

def prepare_scoring(variant: str, embedding: Floats, floats: Floats, /) -> None:
    """Lay an embedding [words, width] out for `score_outputs`, in floats [scoring_floats]."""

def score_outputs(
    variant: str,
    outputs: Floats,
    output_bias: Floats,
    targets: Ids,
    table: KeystrokeTable | None,
    loss: Floats,
    rank: Longs | None,
    keystrokes: Longs | None,
    floats: Floats,
    /,
) -> None:
    """Set loss, rank and keystrokes [n] of targets [n], given outputs [n, width]; without a table only the loss."""

def score_logits(
    variant: str,
    logits: Floats,
    targets: Ids,
    table: KeystrokeTable | None,
    loss: Floats,
    rank: Longs | None,
    keystrokes: Longs | None,
    floats: Floats,
    /,
) -> None:
    """As `score_outputs`, given logits [n, words]."""

def product(variant: str, c: Floats, a: Floats, b: Floats, bias: Floats | None, transposed: bool, add: bool, /) -> None:
    """c [m, n] = (add ? c : 0) + bias [n] + a [m, k] b, of b [k, n], or of b [n, k] transposed; for tests."""

def product_transposed(variant: str, c: Floats, a: Floats, b: Floats, add: bool, /) -> None:
    """c [m, n] = (add ? c : 0) + a' b, of a [k, m] and b [k, n]; for tests."""

def elementary(variant: str, function: str, y: Floats, x: Floats, /) -> None:
    """y = exp, sigmoid or tanh of x; for tests."""

def output_layer_gradients(
    variant: str,
    embedding: Floats,
    output_bias: Floats,
    outputs: Floats,
    targets: Ids,
    d_outputs: Floats,
    d_embedding: Floats,
    d_bias: Floats,
    scale: float,
    step: float,
    add: bool,
    /,
) -> float:
    """The summed loss in nats, and the gradients of the last layer; see output_layer.h; for tests."""
