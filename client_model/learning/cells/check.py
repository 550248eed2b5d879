"""Whether somebody's cell is what `base.Cell` asks for, found out before anything is trained with it."""

import re

import numpy as np

from client_model.learning.cells.base import Cell, CellSizes, Tensor, Tensors
from typefleet.errors import ConfigError, expected

_NAME = re.compile(r"[a-z][a-z0-9_-]*")
# Names that the model's frame and the files' signatures have already.
_WEIGHTS_TAKEN = {"embedding", "output_bias", "request", "saved", "restored"}
_STATE_TAKEN = {"token"}
_TOLERANCE = 1e-5  # between a row by itself and among others: products of other sizes may round otherwise


def check_cell(cell: Cell, sizes: CellSizes) -> None:
    """Try a cell on two tokens of a few rows.

    Raises:
        ConfigError: something about it does not fit; the message begins with `cell NAME:`. What its `step` itself
            raises is passed on.
    """
    where = f"cell {cell.name!r}"
    if not _NAME.fullmatch(cell.name):
        raise ConfigError(expected(where, "a name of lower-case letters, digits, _ and -", "another"))
    _check_names(where, "weights", set(cell.weights(sizes)), _WEIGHTS_TAKEN)
    _check_names(where, "parts of the state", set(cell.state_sizes(sizes)), _STATE_TAKEN)
    for name, weight in cell.weights(sizes).items():
        drawn = weight.initial(np.random.default_rng(0)).shape
        if drawn != weight.shape:
            raise ConfigError(expected(where, f"initial values of {name} of shape {weight.shape}", drawn))
    _check_step(where, cell, sizes)


def _check_names(where: str, what: str, names: set[str], taken: set[str]) -> None:
    for name in sorted(names):
        if not name.isidentifier() or name in taken:
            raise ConfigError(expected(where, f"{what} with names that are free, such as 'input_kernel'", repr(name)))
    if not names:
        raise ConfigError(expected(where, what, "none"))


def _check_step(where: str, cell: Cell, sizes: CellSizes) -> None:
    import tensorflow as tf  # takes seconds to import; built-in cells are not checked

    rng = np.random.default_rng(0)
    weights = {n: tf.constant(w.initial(rng).astype(np.float32)) for n, w in cell.weights(sizes).items()}
    x = tf.constant(rng.uniform(-0.4, 0.4, (2, 3, sizes.embedding)).astype(np.float32))  # two tokens of three rows
    with tf.GradientTape() as tape:
        tape.watch(weights)
        together = _outputs(where, cell, sizes, weights, x)
    gradients = tape.gradient(together, weights)
    for name, gradient in gradients.items():
        if gradient is None:
            raise ConfigError(expected(where, f"outputs that depend on the weight {name}", "that they do not"))
    alone = tf.concat([_outputs(where, cell, sizes, weights, x[:, r : r + 1]) for r in range(3)], 1)
    if not np.allclose(together, alone, atol=_TOLERANCE):
        raise ConfigError(expected(where, "a row's output to be the same among other rows as alone", "another"))


def _outputs(where: str, cell: Cell, sizes: CellSizes, weights: Tensors, x: Tensor) -> Tensor:
    """[2, rows, D] after each of two tokens [2, rows, D], every shape looked at."""
    import tensorflow as tf

    rows, widths = x.shape[1], cell.state_sizes(sizes)
    state: Tensors = {name: tf.zeros([rows, width]) for name, width in widths.items()}
    outputs = []
    for token in tf.unstack(x):
        output, state = cell.step(weights, token, state)
        if set(state) != set(widths):
            raise ConfigError(expected(where, f"a next state of {sorted(widths)}", sorted(state)))
        _check_tensor(where, "an output", output, (rows, sizes.embedding))
        for name, width in widths.items():
            _check_tensor(where, f"the next {name}", state[name], (rows, width))
        outputs.append(output)
    return tf.stack(outputs)


def _check_tensor(where: str, what: str, found: Tensor, shape: tuple[int, int]) -> None:
    if tuple(found.shape) != shape or found.dtype != "float32":
        raise ConfigError(expected(where, f"{what} float32 {list(shape)}", f"{found.dtype.name} {list(found.shape)}"))
