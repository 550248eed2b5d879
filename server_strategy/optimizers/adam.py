"""FedAdam (arXiv:2003.00295, Algorithm 2)."""

from dataclasses import dataclass

import numpy as np

from server_strategy.optimizers.base import OptimizerState, TwoMomentSettings, Vector
from typefleet.doors import Kind


@dataclass(frozen=True)
class Adam(TwoMomentSettings):
    """The second moment is a decaying mean of the squared updates."""

    def step(self, learning_rate: float, mean_update: Vector, state: OptimizerState) -> tuple[Vector, OptimizerState]:
        """(step float32 [num_weights], next first and second moment)."""
        first, beta = self.next_first(mean_update, state), np.float32(self.second_moment_decay)
        second: Vector = beta * state["second_moment"] + (1 - beta) * (mean_update * mean_update)
        return self.scaled(learning_rate, first, second), {"first_moment": first, "second_moment": second}


KIND = Kind("adam", "FedAdam", make=lambda settings: settings, settings=Adam)
