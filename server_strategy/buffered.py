"""Buffered asynchronous aggregation: which weights an update began from, and what it then counts.

Nguyen et al., "Federated learning with buffered asynchronous aggregation", arXiv:2106.06639. An update of
staleness r (it began r rounds ago) is clipped to C like any other and then weighted by

    s(r) = (1 + r)^-a        (the polynomial weight of Xie et al., arXiv:1903.03934; a = 1/2 by default)

so what one phone adds to a release has norm at most C s(r) <= C. The sensitivity for which the noise is
made is therefore C, as without a buffer: an update of staleness 0 reaches it. The sum is divided by the
fixed size of the buffer, not by the sum of the weights, which would depend on who reports.
"""

import numpy as np
from flwr.app import Array, ArrayRecord
from numpy.typing import NDArray


def staleness_weight(staleness: int, exponent: float) -> float:
    """s(r), in (0, 1]."""
    if staleness < 0:
        raise ValueError(f"Expected staleness >= 0. Found {staleness}.")
    return float((1.0 + staleness) ** -exponent)


def flat_weights(arrays: ArrayRecord) -> NDArray[np.float32]:
    """float32 [num_weights], in the order of the record."""
    return np.concatenate([array.numpy().ravel() for array in arrays.values()])


def shaped_like(arrays: ArrayRecord, flat: NDArray[np.float32]) -> ArrayRecord:
    """Inverse of `flat_weights`, with the names and shapes of `arrays`."""
    shaped, at = {}, 0
    for name, array in arrays.items():
        old = array.numpy()
        shaped[name] = Array(flat[at : at + old.size].reshape(old.shape))
        at += old.size
    return ArrayRecord(shaped)


class ModelVersions:
    """The weights of the last rounds, for updates that began earlier.

    Attributes:
        max_staleness: rounds to look back.
    """

    def __init__(self, max_staleness: int) -> None:
        self.max_staleness = max_staleness
        self._flat: dict[int, NDArray[np.float32]] = {}

    def remember(self, server_round: int, arrays: ArrayRecord) -> None:
        """Keep the weights with which this round's phones begin."""
        self._flat[server_round] = flat_weights(arrays)
        self._flat = {r: flat for r, flat in self._flat.items() if server_round - r <= self.max_staleness}

    def of(self, server_round: int, like: ArrayRecord) -> ArrayRecord:
        """The weights of a round.

        Raises:
            ValueError: the round is not remembered.
        """
        if server_round not in self._flat:
            raise ValueError(f"Expected a round among {sorted(self._flat)}. Found {server_round}.")
        return shaped_like(like, self._flat[server_round])

    def state(self) -> dict[str, NDArray]:
        """For a checkpoint."""
        flat = list(self._flat.values())
        return {
            "version_rounds": np.array(list(self._flat), np.int64),
            "version_weights": np.stack(flat) if flat else np.zeros((0, 0), np.float32),
        }

    def load_state(self, state: dict[str, NDArray]) -> None:
        """Inverse of `state`."""
        rounds = state["version_rounds"].tolist()
        self._flat = {r: flat.copy() for r, flat in zip(rounds, state["version_weights"], strict=True)}
