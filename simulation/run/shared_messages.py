"""Whether a corpus that is taken to be public is the phones' own text, or shares messages with it.

Messages are compared by 64-bit digests of their words, of which a sample is kept that depends on the digest alone, so
that both sides keep the same ones; the work grows with the text, the memory does not. Short messages are what anybody
writes, and count only if there are no others.
"""

import hashlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from client_model.keyed_random import hash_uint64, purpose_key
from client_model.text.population import Population, PopulationSpec, open_population
from client_model.text.tokenised_file import TokenisedFile
from simulation.run.starting_point import StartingPoint
from typefleet.errors import ConfigError, expected
from typefleet.steps import step

LEAST_WORDS = 6  # of a message that two people hardly write alike
MOST_SHARE = 0.01  # of the messages of either that may be in both: quotations, chain letters
MOST_SHARE_SHORT = 0.5  # where one side has short messages only
_MOST_KEPT = 1_000_000  # digests of a side
_PHONES_AT_ONCE = 1_024
_PLACE = purpose_key(0, "place in a message")


def require_public(start: StartingPoint | None, data: PopulationSpec) -> None:
    """Refuse a corpus as public that is the phones' own text, or has messages of it.

    Args:
        start: of the run; only a corpus is looked at.
        data: the phones' text.

    Raises:
        ConfigError: it is, or has; says which share.
    """
    if start is None or start.corpus is None or start.corpus.cache_folder is None or data.cache_folder is None:
        return
    own, theirs = Path(data.cache_folder), Path(start.corpus.cache_folder)
    where, public = f"--model.init: {start.path}", "public text, none of which is the phones' own"
    if own.name.partition("-")[0] == theirs.name.partition("-")[0]:
        raise ConfigError(expected(where, public, "the very text of --data.path"))
    with step("comparing the public corpus with the phones' text"):
        shared, most = shared_share(open_population(start.corpus), TokenisedFile(own))
    if shared > most:
        raise ConfigError(expected(where, public, f"{shared:.1%} of the messages of one in the other"))


def shared_share(one: Population, other: Population) -> tuple[float, float]:
    """(share of the distinct messages of one population that the other has as well, share that chance may bring).

    The share is the larger of both ways.
    """
    a, b, most = _digests(one, LEAST_WORDS), _digests(other, LEAST_WORDS), MOST_SHARE
    if not len(a) or not len(b):
        a, b, most = _digests(one, 1), _digests(other, 1), MOST_SHARE_SHORT
    a, b = _sampled_alike(a, b)
    if not len(a) or not len(b):
        return 0.0, most
    return len(np.intersect1d(a, b, assume_unique=True)) / min(len(a), len(b)), most


def _digests(population: Population, least_words: int) -> NDArray[np.uint64]:
    """Of the distinct messages with so many words: uint64, sorted, the smallest ones where there are very many."""
    words = np.array([_digest_of(word) for word in population.lexicon], np.uint64)
    found = np.zeros(0, np.uint64)
    for types, offsets in _messages(population):
        lengths = np.diff(offsets)
        kept = lengths >= least_words
        if not kept.any():
            continue
        place = np.arange(len(types)) - np.repeat(offsets[:-1], lengths)
        mixed = hash_uint64(_PLACE, words[types], place)
        sums = np.add.reduceat(mixed, offsets[:-1][lengths > 0])
        found = np.union1d(found, sums[kept[lengths > 0]])[:_MOST_KEPT]
    return found


def _sampled_alike(a: NDArray[np.uint64], b: NDArray[np.uint64]) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
    """Both up to the same digest, where one of them was cut off."""
    ends = [side[-1] for side in (a, b) if len(side) == _MOST_KEPT]
    return (a, b) if not ends else (a[a <= min(ends)], b[b <= min(ends)])


def _messages(population: Population) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Words of the messages of some phones, one after another, and where each begins and ends."""
    for begin in range(0, population.num_phones, _PHONES_AT_ONCE):
        some = population.types_of_phones(np.arange(begin, min(begin + _PHONES_AT_ONCE, population.num_phones)))
        types = np.concatenate([np.asarray(words, np.int64) for words, _ in some])
        lengths = np.concatenate([np.diff(offsets) for _, offsets in some])
        yield types, np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)


def _digest_of(word: str) -> int:
    return int.from_bytes(hashlib.blake2b(word.encode(), digest_size=8, key=b"word of a message").digest(), "little")
