"""How many tokens phones hold, of many phones at once and without their text."""

from typing import TYPE_CHECKING, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from client_model.text.population import Population


@runtime_checkable
class CountsTokens(Protocol):
    """A population that counts the tokens of many phones together."""

    def tokens_of_phones(self, phones: NDArray[np.int64]) -> NDArray[np.int64]:
        """int64 [len(phones)], tokens on each."""


def tokens_of_phones(population: "Population", phones: NDArray[np.int64]) -> NDArray[np.int64]:
    """int64 [len(phones)]: tokens on each of some phones; one by one where the population counts no several.

    Args:
        population: the text.
        phones: int64, ids.
    """
    if isinstance(population, CountsTokens):
        return population.tokens_of_phones(phones)
    return np.array([int(population.message_lengths(phone).sum()) for phone in phones.tolist()], np.int64)
