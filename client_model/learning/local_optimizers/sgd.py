"""`sgd`: plain steps, as the native kernel takes them."""

from collections.abc import Sequence
from dataclasses import dataclass

from client_model.learning.local_optimizers.base import LocalOptimizer, Tensor
from typefleet.doors import Kind, KindSettings


@dataclass(frozen=True)
class Sgd(KindSettings):
    """The step is the gradient times the step size."""

    def initial_state(self, received: Sequence[Tensor]) -> list[Tensor]:
        """No state: plain steps remember nothing."""
        return []

    def step(
        self,
        weights: Sequence[Tensor],
        gradients: Sequence[Tensor],
        received: Sequence[Tensor],
        state: Sequence[Tensor],
        learning_rate: Tensor,
    ) -> tuple[list[Tensor], list[Tensor]]:
        """w - eta g."""
        return [w - learning_rate * g for w, g in zip(weights, gradients, strict=True)], []


def is_plain(optimizer: LocalOptimizer | None) -> bool:
    """Whether a kernel's own steps are this optimizer's."""
    return optimizer is None or type(optimizer) is Sgd


KIND = Kind("sgd", "plain steps along the gradient", make=lambda settings: settings, settings=Sgd)
