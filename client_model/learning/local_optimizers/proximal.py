"""`proximal`: FedProx (Li et al., "Federated Optimization in Heterogeneous Networks", arXiv:1812.06127, sec. 3.2).

A phone minimises its loss plus mu / 2 times the squared distance from the weights that it received, so that phones
whose text is unusual go less far from the others' model.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

from annotated_types import Ge

from client_model.learning.local_optimizers.base import Tensor
from typefleet.doors import Kind, KindSettings


@dataclass(frozen=True)
class Proximal(KindSettings):
    """Plain steps on the loss and the proximal term."""

    proximal_weight: Annotated[float, Ge(0)] = 0.01
    """Weight of half the squared distance from the received weights; mu in the paper. 0 is plain SGD."""

    def initial_state(self, received: Sequence[Tensor]) -> list[Tensor]:
        """No state: the received weights are there at each step."""
        return []

    def step(
        self,
        weights: Sequence[Tensor],
        gradients: Sequence[Tensor],
        received: Sequence[Tensor],
        state: Sequence[Tensor],
        learning_rate: Tensor,
    ) -> tuple[list[Tensor], list[Tensor]]:
        """w - eta (g + mu (w - w_received)); the bound on the gradient's norm is on g alone."""
        given = zip(weights, gradients, received, strict=True)
        return [w - learning_rate * (g + self.proximal_weight * (w - r)) for w, g, r in given], []


KIND = Kind("proximal", "FedProx: held to the received weights", make=lambda settings: settings, settings=Proximal)
