"""What a server optimizer is, and how its step size moves over the rounds.

An optimizer is a pure function from (mean update, state) to (step, state). The adaptive ones are FedAdam, FedYogi
and FedAdagrad of Reddi et al., "Adaptive Federated Optimization", arXiv:2003.00295, Algorithm 2 (no bias correction;
the second moment starts at tau^2).

| paper | here |
|---|---|
| Delta_t | mean_update, float32 [num_weights] |
| eta | learning_rate, times the schedule of `learning_rate_at` |
| beta_1, beta_2 | momentum, second_moment_decay |
| tau | adaptivity |
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Protocol

import numpy as np
from annotated_types import Ge, Gt, Lt
from numpy.typing import NDArray

from server_strategy.optimizers.config import ServerOptimizerConfig
from typefleet.doors import KindSettings
from typefleet.errors import ConfigError, expected
from typefleet.own_parts import calling

Vector = NDArray[np.float32]  # [num_weights]
OptimizerState = Mapping[str, Vector]  # moments by name; empty where an optimizer keeps none


class ServerOptimizer(Protocol):
    """Turns the mean update of each round into a step of the weights."""

    @property
    def linear_momentum(self) -> float:
        """Momentum if the weights are a linear function of the updates, else 0.

        A matrix mechanism can be optimised for such sums: with momentum m an update counts 1, 1 + m, 1 + m + m^2, ...
        in the rounds after it (Denisov et al., arXiv:2202.08312, Section 4).
        """

    def initial_state(self, num_weights: int) -> OptimizerState:
        """State before the first step."""

    def step(self, learning_rate: float, mean_update: Vector, state: OptimizerState) -> tuple[Vector, OptimizerState]:
        """(what to add to the weights: float32 [num_weights], next state); neither argument is changed."""


def checked_step(
    optimizer: ServerOptimizer, learning_rate: float, mean_update: Vector, state: OptimizerState | None
) -> tuple[Vector, OptimizerState]:
    """A step of whatever optimizer, held to what the weights need: a number for each of them.

    Args:
        optimizer: whose step it is.
        learning_rate, mean_update: as in `ServerOptimizer.step`.
        state: None before the first step.

    Raises:
        ConfigError: the optimizer raises, or gives something else, which would be repeated over the weights, change
            their type or ruin them; names its class.
    """
    where = f"server optimizer {type(optimizer).__name__}"
    with calling(where, "a step and a state"):
        if state is None:
            state = optimizer.initial_state(len(mean_update))
        step, state = optimizer.step(learning_rate, mean_update, state)
    if not isinstance(step, np.ndarray) or step.dtype != np.float32 or step.shape != mean_update.shape:
        found = f"{getattr(step, 'dtype', type(step).__name__)} {list(np.shape(step))}"
        raise ConfigError(expected(where, f"a step of float32 {list(mean_update.shape)}", found))
    if not np.isfinite(step).all():
        raise ConfigError(expected(where, "a step of finite numbers", "NaN or infinite ones"))
    if not isinstance(state, Mapping) or not all(isinstance(moment, np.ndarray) for moment in state.values()):
        raise ConfigError(expected(where, "a state of arrays by name", type(state).__name__))
    return step, state


@dataclass(frozen=True)
class AdaptiveSettings(KindSettings):
    """Settings of the optimizers that scale each coordinate by the root of its second moment."""

    adaptivity: Annotated[float, Gt(0)] = 1e-4
    """Added to the root of the second moment; tau in the paper."""

    @property
    def linear_momentum(self) -> float:
        """0: the step is no linear function of the updates."""
        return 0.0

    def initial_second_moment(self, num_weights: int) -> Vector:
        """float32 [num_weights], tau^2 everywhere."""
        return np.full(num_weights, self.adaptivity**2, np.float32)

    def scaled(self, learning_rate: float, first: Vector, second: Vector) -> Vector:
        """eta * first / (sqrt(second) + tau), float32 [num_weights]."""
        step: Vector = np.float32(learning_rate) * first / (np.sqrt(second) + np.float32(self.adaptivity))
        return step


@dataclass(frozen=True)
class TwoMomentSettings(AdaptiveSettings):
    """Settings of the adaptive optimizers that also smooth the update."""

    momentum: Annotated[float, Ge(0), Lt(1)] = 0.9
    """Decay of the first moment."""
    second_moment_decay: Annotated[float, Ge(0), Lt(1)] = 0.99
    """Decay of the second moment."""

    def initial_state(self, num_weights: int) -> OptimizerState:
        """First moment 0, second moment tau^2."""
        return {
            "first_moment": np.zeros(num_weights, np.float32),
            "second_moment": self.initial_second_moment(num_weights),
        }

    def next_first(self, mean_update: Vector, state: OptimizerState) -> Vector:
        """The decaying mean of the updates, float32 [num_weights]."""
        beta = np.float32(self.momentum)
        first: Vector = beta * state["first_moment"] + (1 - beta) * mean_update
        return first


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
