"""What `module.c` gives to Python; arrays are C-contiguous, and each is a `ValueError` if type or shape does not fit.

`variant` is one of `variants()`. Symbols: n tokens, V words, D width of the embedding; P as in `KeystrokeTable`.
"""

from numpy import float32, int32, int64
from numpy.typing import NDArray

from client_model.metrics.keystrokes import KeystrokeTable

Floats = NDArray[float32]
Ints = NDArray[int32]
Longs = NDArray[int64]
Model = tuple[str, int, int, int, int, int]  # variant, cell as sizes.h numbers it, layers, words, width, units

INTERFACE: int  # see available.py

def variants() -> list[str]:
    """Sets of instructions that this machine runs the kernel with, the fastest first; all give the same bits."""

def portable_is_fast() -> bool:
    """Whether the variant `portable`, which every machine has, multiplies and adds in one instruction."""

def product(variant: str, c: Floats, a: Floats, b: Floats, bias: Floats | None, transposed: bool, add: bool, /) -> None:
    """c [m, n] = (c if add else 0) + bias [n] + a [m, k] b, of b [k, n], or of b [n, k] if transposed."""

def product_transposed(variant: str, c: Floats, a: Floats, b: Floats, add: bool, /) -> None:
    """c [m, n] = (c if add else 0) + a' b, of a [k, m] and b [k, n]."""

def elementary(variant: str, function: str, y: Floats, x: Floats, /) -> None:
    """y [size] = exp, sigmoid or tanh of x [size]."""

def output_layer_gradients(
    variant: str,
    outputs: Floats,
    targets: Ints,
    embedding: Floats,
    output_bias: Floats,
    d_outputs: Floats,
    step_embedding: Floats,
    step_bias: Floats,
    scale: float,
    step: float,
    add: bool,
    /,
) -> float:
    """The summed cross-entropy in nats of softmax(outputs E' + b), and its gradients, times scale.

    Sets d_outputs [n, D]; step_embedding [V, D] and step_bias [V] become (what they are if add else 0) + step times
    their gradients. With `add` they may be the weights themselves.
    """

def training_floats(model: Model, tokens: int, rows: int, /) -> int:
    """Floats of memory for training on batches of at most so many tokens, of at most so many rows."""

def train(
    model: Model,
    weights: tuple[Floats, Floats],
    text: tuple[Ints, Ints, Ints, int],
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

def outputs(model: Model, weights: tuple[Floats, Floats], text: tuple[Ints, Ints, int], memory: Floats, /) -> None:
    """What the cell gives for each token, which the output layer reads.

    Args:
        model: that reads.
        weights: (received [num_weights], outputs [tokens, width], which are set).
        text: (inputs [tokens], rows of each step of each batch [batches * steps], steps).
        memory: [outputs_floats].
    """

def scoring_floats(variant: str, words: int, width: int, /) -> int:
    """Size of `floats` in the functions below; of width 0 for `score_logits`."""

def prepare_scoring(variant: str, embedding: Floats, floats: Floats, /) -> None:
    """Put an embedding [V, D] into `floats` as `score_outputs` reads it, as often as that is called after."""

def score_outputs(
    variant: str,
    outputs: Floats,
    output_bias: Floats,
    targets: Ints,
    table: KeystrokeTable | None,
    loss: Floats,
    rank: Longs | None,
    keystrokes: Longs | None,
    floats: Floats,
    /,
) -> None:
    """Loss in nats, rank and keystrokes [n] each of targets [n] from outputs [n, D]; without a table only the loss."""

def score_logits(
    variant: str,
    logits: Floats,
    targets: Ints,
    table: KeystrokeTable | None,
    loss: Floats,
    rank: Longs | None,
    keystrokes: Longs | None,
    floats: Floats,
    /,
) -> None:
    """The same from logits [n, V]."""
