"""What phones give for a common vocabulary: words up to a limit per phone, all of one phone together of L2 norm 1.

A phone gives the words that it uses most. With as many uses the shorter word goes first, then the one with the smaller
hash of its letters: nothing that another phone wrote decides which, so that a phone which leaves changes no other
phone's words, and phones agree, which lets more words pass a threshold.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from client_model.text.population import Population
from client_model.text.vocabulary import may_enter
from client_model.text.word_counts import blocks_of_phones


@dataclass(frozen=True)
class WordWeights:
    """Sums over phones, for each lexicon entry."""

    weights: NDArray[np.float64]  # [lexicon], of 1/sqrt(n) from each phone that gave n words, the entry among them
    writers: NDArray[np.int64]  # [lexicon], phones that wrote it, whether or not they gave it


def word_weights(population: Population, phones: NDArray[np.int64], words_per_phone: int) -> WordWeights:
    """Collect what phones give, a block of phones at a time.

    Args:
        population: the text.
        phones: ids.
        words_per_phone: words that one gives, at most.
    """
    lexicon = population.lexicon
    size = len(lexicon)
    words = np.fromiter((*map(may_enter, lexicon), False), np.bool_, size + 1)  # the last one stands for unlisted words
    place = _places(lexicon)
    weights, writers = np.zeros(size), np.zeros(size, np.int64)
    for some in blocks_of_phones("counting who wrote each word", phones):
        owner, types, uses = _counted([flat for flat, _ in population.types_of_phones(some)], size)
        listed = words[types]
        owner, types, uses = owner[listed], types[listed], uses[listed]
        writers += np.bincount(types, minlength=size)
        # By falling uses, then by place: one number for both, which no two words of a phone share.
        order = (uses.max(initial=0) - uses) * size + place[types]
        written = np.bincount(owner, minlength=len(some))  # entries on each phone
        given = np.ones(len(types), bool)
        for phone, end in zip(many := np.flatnonzero(written > words_per_phone), np.cumsum(written)[many], strict=True):
            own = slice(end - written[phone], end)
            given[own] = order[own] <= np.partition(order[own], words_per_phone - 1)[words_per_phone - 1]
        number = np.minimum(written, words_per_phone)
        weights += np.bincount(types[given], 1 / np.sqrt(number[owner[given]]), minlength=size)
    return WordWeights(weights, writers)


def _counted(
    texts: Sequence[NDArray[np.integer[Any]]], size: int
) -> tuple[NDArray[np.int64], NDArray[np.integer[Any]], NDArray[np.int64]]:
    """(place of the phone, type, its uses there) of each type that some phones wrote; all from `size` on are one."""
    ends = np.cumsum([len(types) for types in texts])
    flat: NDArray[np.integer[Any]] = np.empty(ends[-1] if texts else 0, np.uint16 if size < 1 << 16 else np.uint32)
    first = np.ones(len(flat), bool)  # where another type begins, or another phone
    for types, end in zip(texts, ends.tolist(), strict=True):
        own = flat[end - len(types) : end]
        own[:] = np.minimum(types, size)
        own.sort(kind="stable")  # in linear time where they have 16 bits
        np.not_equal(own[1:], own[:-1], out=first[end - len(types) + 1 : end])
    begins = np.flatnonzero(first)
    return np.searchsorted(ends, begins, "right"), flat[begins], np.diff(begins, append=len(flat))


def _places(lexicon: Sequence[str]) -> NDArray[np.int64]:
    """Each entry's place among all, by length, then by a hash of its letters: int64 [len(lexicon)]."""
    lengths = np.fromiter(map(len, lexicon), np.int64, len(lexicon))
    digests = (hashlib.blake2b(token.encode(), digest_size=8).digest() for token in lexicon)
    hashes = np.frombuffer(b"".join(digests), "<u8")
    place = np.empty(len(lexicon), np.int64)
    place[np.lexsort((hashes, lengths))] = np.arange(len(lexicon))
    return place
