"""What a local optimizer is.

It moves the weights of one phone along the gradients of its batches, from the received weights on. What it remembers
from step to step begins anew with each phone and each round: simulated phones keep nothing from one round to the next.
Its methods are traced once, as a TensorFlow function without autograph, and then run for every phone; so a value that
depends on a gradient is a tensor, and an attribute that changes later changes nothing.

The update is the trained weights less the received ones, and is clipped as a whole before anything leaves the phone,
whatever the steps are. So no privacy depends on them, as long as nothing but the state is remembered: what one phone
left in a variable would be in the updates of others, beyond what clipping bounds.
"""

from collections.abc import Sequence
from typing import Any, Protocol

Tensor = Any  # of TensorFlow, which takes seconds to import


class LocalOptimizer(Protocol):
    """Moves one phone's weights. Each list has one float32 tensor for each of the model's weights, in their order."""

    def initial_state(self, received: Sequence[Tensor]) -> Sequence[Tensor]:
        """What it remembers before the first step: any number of tensors, whose shapes and dtypes stay.

        Args:
            received: the weights that the phone was sent.
        """

    def step(
        self,
        weights: Sequence[Tensor],
        gradients: Sequence[Tensor],
        received: Sequence[Tensor],
        state: Sequence[Tensor],
        learning_rate: Tensor,
    ) -> tuple[Sequence[Tensor], Sequence[Tensor]]:
        """(the weights after a batch, what is remembered of it).

        Args:
            weights: before it.
            gradients: of the mean cross-entropy of the batch's tokens; together of norm
                `--training.max-gradient-norm` at most.
            received: the weights that the phone was sent.
            state: what was remembered.
            learning_rate: `--training.learning-rate`, float32 [].
        """
