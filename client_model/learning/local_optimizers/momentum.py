"""`momentum`: the heavy ball (Polyak 1964), its velocity 0 at the start of each phone's round."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

from annotated_types import Ge, Lt

from client_model.learning.local_optimizers.base import Tensor
from typefleet.doors import Kind, KindSettings


@dataclass(frozen=True)
class Momentum(KindSettings):
    """Steps along a decaying sum of the gradients so far."""

    momentum: Annotated[float, Ge(0), Lt(1)] = 0.9
    """What is left of the velocity from step to step."""

    def initial_state(self, received: Sequence[Tensor]) -> list[Tensor]:
        """The velocity: 0 for each weight."""
        return [0.0 * r for r in received]

    def step(
        self,
        weights: Sequence[Tensor],
        gradients: Sequence[Tensor],
        received: Sequence[Tensor],
        state: Sequence[Tensor],
        learning_rate: Tensor,
    ) -> tuple[list[Tensor], list[Tensor]]:
        """v <- m v + g; w - eta v."""
        velocity = [self.momentum * v + g for v, g in zip(state, gradients, strict=True)]
        return [w - learning_rate * v for w, v in zip(weights, velocity, strict=True)], velocity


KIND = Kind("momentum", "steps along a decaying sum of gradients", make=lambda settings: settings, settings=Momentum)
