"""Whether somebody's local optimizer is what `base.LocalOptimizer` asks for, found out before a phone trains by it."""

from collections.abc import Sequence

import numpy as np

from client_model.learning.local_optimizers.base import LocalOptimizer, Tensor
from typefleet.errors import ConfigError, expected
from typefleet.own_parts import calling

_SHAPES = ((5, 3), (3, 4), (4,))  # of weights


def check_local_optimizer(optimizer: LocalOptimizer) -> None:
    """Try an optimizer twice on two steps of three small weights, in a function traced as training is.

    Raises:
        ConfigError: it raises, gives weights or a state of another number, shape or dtype, or numbers that are not
            finite, or others the second time.
    """
    import tensorflow as tf  # takes seconds to import; built-in optimizers are not checked

    where = f"local optimizer {type(optimizer).__name__}"
    rng = np.random.default_rng(0)
    received, first, second = (
        [tf.constant(rng.uniform(-0.1, 0.1, shape).astype(np.float32)) for shape in _SHAPES] for _ in range(3)
    )

    def two_steps(rate: Tensor) -> list[Tensor]:
        with calling(where, "a state before the first step"):
            state = _as_tensors(where, "a state", optimizer.initial_state(received))
        weights = received
        for gradients in (first, second):
            with calling(where, "weights and a state after a step"):
                stepped, after = optimizer.step(weights, gradients, received, state, rate)
            weights = _alike(where, "weights", stepped, weights)
            state = _alike(where, "a state", after, state)
        return weights

    traced = tf.function(two_steps, input_signature=[tf.TensorSpec([], tf.float32)], autograph=False)
    with calling(where, "a step that runs"):
        found, again = ([np.asarray(weight) for weight in traced(0.1)] for _ in range(2))
    if not all(np.isfinite(weight).all() for weight in found):
        raise ConfigError(expected(where, "weights of finite numbers", "NaN or infinite ones"))
    if not all(map(np.array_equal, found, again)):
        what = "the same weights of the same phone, whoever was trained before"
        raise ConfigError(expected(where, what, "others the second time (what it remembers belongs in the state)"))


def _as_tensors(where: str, what: str, found: object) -> list[Tensor]:
    import tensorflow as tf

    if not isinstance(found, Sequence) or not all(tf.is_tensor(one) for one in found):
        raise ConfigError(expected(where, f"{what} that is a list of tensors", type(found).__name__))
    return list(found)


def _alike(where: str, what: str, found: object, before: Sequence[Tensor]) -> list[Tensor]:
    tensors = _as_tensors(where, what, found)
    asked, given = ([f"{one.dtype.name} {list(one.shape)}" for one in some] for some in (before, tensors))
    if asked != given:
        raise ConfigError(expected(where, f"{what} of {'; '.join(asked) or 'nothing'}", "; ".join(given) or "nothing"))
    return tensors
