"""Checkpoints without the state of the noise; apart from them, since mechanisms take seconds to import."""

from server_strategy.privacy.protected_sum import without_noise
from server_strategy.state import State, branch


def noise_forgotten(state: State) -> State:
    """The state of a checkpoint without that of its noise: nobody can take it off a release, nor go on with it."""
    strategy = branch(state, "strategy")
    return {**state, "strategy": {**strategy, "noise": without_noise(branch(strategy, "noise"))}}
