"""FedYogi (arXiv:2003.00295, Algorithm 2)."""

from dataclasses import dataclass

import numpy as np

from server_strategy.optimizers.base import OptimizerState, TwoMomentSettings, Vector
from typefleet.doors import Kind


@dataclass(frozen=True)
class Yogi(TwoMomentSettings):
    """The second moment moves towards the squared updates by a bounded amount."""

    def step(self, learning_rate: float, mean_update: Vector, state: OptimizerState) -> tuple[Vector, OptimizerState]:
        """(step float32 [num_weights], next first and second moment)."""
        first, beta = self.next_first(mean_update, state), np.float32(self.second_moment_decay)
        square = mean_update * mean_update
        before = state["second_moment"]
        second: Vector = before - (1 - beta) * square * np.sign(before - square)
        return self.scaled(learning_rate, first, second), {"first_moment": first, "second_moment": second}


KIND = Kind("yogi", "FedYogi", make=lambda settings: settings, settings=Yogi)
