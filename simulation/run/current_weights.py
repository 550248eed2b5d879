"""The weights of a run as they are now, and what is made of them: once for each release, whoever asks."""

from functools import cached_property

import numpy as np
from flwr.app import ArrayRecord
from numpy.typing import NDArray

from client_model.learning.language_model import ModelShape, flatten, unflatten, weights_sha256
from server_strategy.plain_arrays import plain_record


class CurrentWeights:
    """One state of the weights; the next release makes another.

    Args:
        flat: float32 [num_weights], which nobody changes.
        shape: of the model.

    Attributes:
        flat: as given.
    """

    def __init__(self, flat: NDArray[np.float32], shape: ModelShape) -> None:
        self.flat, self._shape = flat, shape

    def next(self, released: ArrayRecord, sha256: str = "") -> "CurrentWeights":
        """Those of a release.

        Args:
            released: in the order of `record`.
            sha256: of the numbers, if it is known.
        """
        following = CurrentWeights(flatten([array.numpy() for array in released.values()]), self._shape)
        following.record = released  # as it would be made again
        if sha256:
            following.sha256 = sha256
        return following

    @cached_property
    def sha256(self) -> str:
        """SHA-256 of the numbers, see `weights_sha256`."""
        return weights_sha256(self.flat)

    @cached_property
    def record(self) -> ArrayRecord:
        """As messages to hosts have them, each array by its name."""
        named = zip(self._shape.weight_shapes(), unflatten(self.flat, self._shape), strict=True)
        return plain_record(dict(named))
