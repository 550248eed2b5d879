"""How the mean update moves the weights: SGD, momentum, Adam, Yogi, Adagrad.

Each optimizer is a pure function from (mean update, state) to (step, state). The adaptive ones are
FedAdam, FedYogi and FedAdagrad of Reddi et al., "Adaptive Federated Optimization",
arXiv:2003.00295, Algorithm 2 (no bias correction; the second moment starts at tau^2).

| paper | here |
|---|---|
| Delta_t | mean_update, float32 [num_weights] |
| eta | learning_rate, times the schedule of `learning_rate_at` |
| beta_1, beta_2 | momentum, second_moment_decay |
| tau | adaptivity |
"""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from server_strategy.config import ServerOptimizerConfig

_FIRST_MOMENT = ("momentum", "adam", "yogi")
_SECOND_MOMENT = ("adam", "yogi", "adagrad")


class OptimizerState(NamedTuple):
    """Moments; an empty array where the optimizer keeps none."""

    first_moment: NDArray[np.float32]  # [num_weights] or [0]
    second_moment: NDArray[np.float32]  # [num_weights] or [0]


def initial_state(config: ServerOptimizerConfig, num_weights: int) -> OptimizerState:
    """State before the first step."""
    first = num_weights if config.name in _FIRST_MOMENT else 0
    second = num_weights if config.name in _SECOND_MOMENT else 0
    return OptimizerState(np.zeros(first, np.float32), np.full(second, config.adaptivity**2, np.float32))


def linear_momentum(config: ServerOptimizerConfig) -> float:
    """Momentum of an optimizer whose weights are a linear function of the updates, else 0.

    A matrix mechanism can be optimised for such sums: with momentum m an update counts 1, 1 + m, 1 + m + m^2, ...
    in the rounds after it (Denisov et al., arXiv:2202.08312, Section 4).
    """
    return config.momentum if config.name == "momentum" else 0.0


def learning_rate_at(config: ServerOptimizerConfig, release: int, rounds: int) -> float:
    """Step size of a release, counted from 0: a linear warm-up, then the schedule's decay to its end."""
    warmup = config.warmup_rounds
    if release < warmup:
        return config.learning_rate * (release + 1) / (warmup + 1)
    if config.schedule == "constant":
        return config.learning_rate
    progress = min((release - warmup) / max(rounds - 1 - warmup, 1), 1.0)
    left = 1 - progress if config.schedule == "linear" else (1 + math.cos(math.pi * progress)) / 2
    share = config.final_learning_rate_share
    return config.learning_rate * (share + (1 - share) * left)


def optimizer_step(
    config: ServerOptimizerConfig, learning_rate: float, mean_update: NDArray[np.float32], state: OptimizerState
) -> tuple[NDArray[np.float32], OptimizerState]:
    """(what to add to the weights: float32 [num_weights], next state)."""
    rate, beta1, beta2 = (np.float32(x) for x in (learning_rate, config.momentum, config.second_moment_decay))
    if config.name == "sgd":
        return rate * mean_update, state
    if config.name == "momentum":
        first = beta1 * state.first_moment + mean_update
        return rate * first, state._replace(first_moment=first)
    square = mean_update * mean_update
    if config.name == "adagrad":
        first, second = mean_update, state.second_moment + square
    else:
        first = beta1 * state.first_moment + (1 - beta1) * mean_update
        if config.name == "adam":
            second = beta2 * state.second_moment + (1 - beta2) * square
        else:
            second = state.second_moment - (1 - beta2) * square * np.sign(state.second_moment - square)
    step = rate * first / (np.sqrt(second) + np.float32(config.adaptivity))
    return step, OptimizerState(first if config.name != "adagrad" else state.first_moment, second)
