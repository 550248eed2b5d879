"""Plain SGD on the server: federated averaging with a step size."""

from dataclasses import dataclass

import numpy as np

from server_strategy.optimizers.base import OptimizerState, Vector
from typefleet.doors import Kind, KindSettings


@dataclass(frozen=True)
class Sgd(KindSettings):
    """The step is the mean update times the step size."""

    @property
    def linear_momentum(self) -> float:
        """0: an update counts once."""
        return 0.0

    def initial_state(self, num_weights: int) -> OptimizerState:
        """Empty: plain steps remember nothing."""
        return {}

    def step(self, learning_rate: float, mean_update: Vector, state: OptimizerState) -> tuple[Vector, OptimizerState]:
        """(step float32 [num_weights], the empty state)."""
        step: Vector = np.float32(learning_rate) * mean_update
        return step, state


KIND = Kind("sgd", "plain steps along the mean update", make=lambda settings: settings, settings=Sgd)
