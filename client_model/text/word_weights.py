"""What phones give for a common vocabulary: words up to a limit per phone, all of one phone together of L2 norm 1.

A phone gives the words that it uses most. With as many uses the shorter word goes first, then the one with the smaller
hash of its letters: nothing that another phone wrote decides which, so that a phone which leaves changes no other
phone's words, and phones agree, which lets more words pass a threshold.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

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
    words = np.fromiter((may_enter(token) for token in lexicon), np.bool_, size)
    place = _places(lexicon)
    weights, writers = np.zeros(size), np.zeros(size, np.int64)
    for some in blocks_of_phones("counting who wrote each word", phones):
        texts = [types for types, _ in population.types_of_phones(some)]
        flat = np.concatenate(texts).astype(np.int64) if texts else np.zeros(0, np.int64)
        owner = np.repeat(np.arange(len(texts)), [len(types) for types in texts])
        listed = flat < size
        listed[listed] = words[flat[listed]]
        pairs, uses = np.unique(owner[listed] * size + flat[listed], return_counts=True)
        owner, types = pairs // max(size, 1), pairs % max(size, 1)
        writers += np.bincount(types, minlength=size)
        # By phone, then by falling uses, then by place: one number for all three, which no two pairs share.
        falling = uses.max(initial=0) - uses
        order = np.argsort((owner * (falling.max(initial=0) + 1) + falling) * size + place[types])
        owner, types = owner[order], types[order]
        written = np.bincount(owner, minlength=len(texts))  # entries on each phone
        given = np.arange(len(owner)) - np.repeat(np.cumsum(written) - written, written) < words_per_phone
        owner, types = owner[given], types[given]
        number = np.bincount(owner, minlength=len(texts))
        weights += np.bincount(types, 1 / np.sqrt(number[owner]), minlength=size)
    return WordWeights(weights, writers)


def _places(lexicon: Sequence[str]) -> NDArray[np.int64]:
    """Each entry's place among all, by length, then by a hash of its letters: int64 [len(lexicon)]."""
    lengths = np.fromiter(map(len, lexicon), np.int64, len(lexicon))
    digests = (hashlib.blake2b(token.encode(), digest_size=8).digest() for token in lexicon)
    hashes = np.frombuffer(b"".join(digests), "<u8")
    place = np.empty(len(lexicon), np.int64)
    place[np.lexsort((hashes, lengths))] = np.arange(len(lexicon))
    return place
