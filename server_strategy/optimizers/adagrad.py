"""FedAdagrad (arXiv:2003.00295, Algorithm 2)."""

from dataclasses import dataclass

from server_strategy.optimizers.base import AdaptiveSettings, OptimizerState, Vector
from typefleet.doors import Kind


@dataclass(frozen=True)
class Adagrad(AdaptiveSettings):
    """The second moment is the sum of the squared updates."""

    def initial_state(self, num_weights: int) -> OptimizerState:
        """Second moment tau^2 for each weight."""
        return {"second_moment": self.initial_second_moment(num_weights)}

    def step(self, learning_rate: float, mean_update: Vector, state: OptimizerState) -> tuple[Vector, OptimizerState]:
        """(float32 [num_weights], next second moment)."""
        second: Vector = state["second_moment"] + mean_update * mean_update
        return self.scaled(learning_rate, mean_update, second), {"second_moment": second}


KIND = Kind("adagrad", "FedAdagrad", make=lambda settings: settings, settings=Adagrad)
