"""SGD with momentum on the server (FedAvgM: Hsu et al., arXiv:1909.06335)."""

from dataclasses import dataclass
from typing import Annotated

import numpy as np
from annotated_types import Ge, Lt

from server_strategy.optimizers.base import OptimizerState, Vector
from typefleet.doors import Kind, KindSettings


@dataclass(frozen=True)
class Momentum(KindSettings):
    """The step is a decaying sum of the mean updates times the step size."""

    momentum: Annotated[float, Ge(0), Lt(1)] = 0.9
    """Decay of the first moment."""

    @property
    def linear_momentum(self) -> float:
        """Its momentum: the weights are a linear function of the updates."""
        return self.momentum

    def initial_state(self, num_weights: int) -> OptimizerState:
        """First moment 0 for each weight."""
        return {"first_moment": np.zeros(num_weights, np.float32)}

    def step(self, learning_rate: float, mean_update: Vector, state: OptimizerState) -> tuple[Vector, OptimizerState]:
        """(float32 [num_weights], next first moment)."""
        first: Vector = np.float32(self.momentum) * state["first_moment"] + mean_update
        return np.float32(learning_rate) * first, {"first_moment": first}


KIND = Kind("momentum", "SGD with momentum", make=lambda settings: settings, settings=Momentum)
