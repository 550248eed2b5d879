"""The weights of earlier rounds, for phones that began to train before the newest ones were there.

The strategy keeps as many as its cohort source says (`cohorts.CohortSource.max_staleness`).
"""

import hashlib

import numpy as np
from flwr.app import ArrayRecord
from numpy.typing import NDArray

from server_strategy.plain_arrays import plain_record
from server_strategy.state import State, leaf
from typefleet.errors import expected


def flat_weights(arrays: ArrayRecord) -> NDArray[np.float32]:
    """float32 [num_weights], in the order of the record."""
    return np.concatenate([array.numpy().ravel() for array in arrays.values()])


def weights_digest(flat: NDArray[np.float32]) -> str:
    """SHA-256 of weights as little-endian float32, in the order of the record: 64 hexadecimal digits."""
    return hashlib.sha256(np.ascontiguousarray(flat, "<f4").data).hexdigest()


def shaped_like(arrays: ArrayRecord, flat: NDArray[np.float32]) -> ArrayRecord:
    """Inverse of `flat_weights`, with the names and shapes of `arrays`."""
    shaped, at = {}, 0
    for name, array in arrays.items():
        old = array.numpy()
        shaped[name] = flat[at : at + old.size].reshape(old.shape)
        at += old.size
    return plain_record(shaped)


class ModelVersions:
    """The weights of the last rounds, for updates that began earlier.

    Attributes:
        max_staleness: rounds to look back.
    """

    def __init__(self, max_staleness: int) -> None:
        self.max_staleness = max_staleness
        self._flat: dict[int, NDArray[np.float32]] = {}

    def remember(self, server_round: int, arrays: ArrayRecord) -> None:
        """Keep the weights with which this round's phones begin; drop those that are too old to be asked for."""
        self._flat[server_round] = flat_weights(arrays)
        self._flat = {r: flat for r, flat in self._flat.items() if server_round - r <= self.max_staleness}

    def of(self, server_round: int, like: ArrayRecord) -> ArrayRecord:
        """The weights of a round.

        Raises:
            ValueError: the round is not remembered.
        """
        if server_round not in self._flat:
            raise ValueError(expected("server_round", f"one of {sorted(self._flat)}", server_round))
        return shaped_like(like, self._flat[server_round])

    def state(self) -> State:
        """`rounds`, int64 [versions], and `weights`, float32 [versions, num_weights]; [0, 0] where none are kept."""
        flat = list(self._flat.values())
        return {
            "rounds": np.array(list(self._flat), np.int64),
            "weights": np.stack(flat) if flat else np.zeros((0, 0), np.float32),
        }

    def load_state(self, state: State) -> None:
        """Go on from what `state` gave."""
        rounds, weights = leaf(state, "rounds").tolist(), leaf(state, "weights")
        self._flat = {r: flat.copy() for r, flat in zip(rounds, weights, strict=True)}
