"""How many tokens phones hold, of many phones at once and without their text."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Protocol, TypeAlias, runtime_checkable

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from client_model.text.population import Population

_PHONES_AT_ONCE = 256


@runtime_checkable
class CountsTokens(Protocol):
    """A population that counts the tokens of many phones together."""

    def tokens_of_phones(self, phones: NDArray[np.int64]) -> NDArray[np.int64]:
        """int64 [len(phones)], tokens on each."""


Lengths: TypeAlias = tuple[NDArray[np.int64], NDArray[np.int64]]
"""Of some phones: (tokens of each message, phone by phone; messages of each phone)."""


@runtime_checkable
class ListsLengths(Protocol):
    """A population that lists the messages of many phones together."""

    def message_lengths_of_phones(self, phones: NDArray[np.int64]) -> Iterator[Lengths]:
        """Some of the phones at a time, in their order."""


def message_lengths_of_phones(population: "Population", phones: NDArray[np.int64]) -> Iterator[Lengths]:
    """The lengths of the messages of some phones, some at a time, in their order.

    Args:
        population: the text.
        phones: int64, ids.
    """
    if isinstance(population, ListsLengths):
        yield from population.message_lengths_of_phones(phones)
        return
    for begin in range(0, len(phones), _PHONES_AT_ONCE):
        lengths = [population.message_lengths(phone) for phone in phones[begin : begin + _PHONES_AT_ONCE].tolist()]
        yield np.concatenate(lengths), np.array([len(one) for one in lengths], np.int64)


def tokens_of_phones(population: "Population", phones: NDArray[np.int64]) -> NDArray[np.int64]:
    """int64 [len(phones)]: tokens on each of some phones; one by one where the population counts no several.

    Args:
        population: the text.
        phones: int64, ids.
    """
    if isinstance(population, CountsTokens):
        return population.tokens_of_phones(phones)
    return np.array([int(population.message_lengths(phone).sum()) for phone in phones.tolist()], np.int64)
