"""How often phones wrote each word, and how many of them did, a block of phones at a time."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from client_model.text.population import Population
from typefleet.steps import each

_PHONES_AT_ONCE = 256  # whose words are counted from one word of how far it is to the next


def type_counts(population: Population, phones: NDArray[np.int64]) -> NDArray[np.int64]:
    """How often each lexicon entry occurs on these phones: int64 [len(lexicon)]."""
    size = len(population.lexicon)
    counts = np.zeros(size + 1, np.int64)
    for some in blocks_of_phones("counting words", phones):
        for flat, _ in population.types_of_phones(some):
            counts += np.bincount(np.minimum(flat, size), minlength=size + 1)
    return counts[:size]


def type_writers(population: Population, phones: NDArray[np.int64]) -> NDArray[np.int64]:
    """On how many of these phones each lexicon entry occurs: int64 [len(lexicon)]."""
    size = len(population.lexicon)
    writers = np.zeros(size + 1, np.int64)
    for some in blocks_of_phones("counting who wrote each word", phones):
        for flat, _ in population.types_of_phones(some):
            writers[np.unique(np.minimum(flat, size))] += 1
    return writers[:size]


def blocks_of_phones(doing: str, phones: NDArray[np.int64]) -> Iterator[NDArray[np.int64]]:
    """Some phones at a time, the next ones when these are done; says how far it is.

    Args:
        doing: what is done with them.
        phones: ids.
    """
    blocks = (phones[begin : begin + _PHONES_AT_ONCE] for begin in range(0, len(phones), _PHONES_AT_ONCE))
    yield from each(doing, blocks, len(phones) / _PHONES_AT_ONCE)
