"""How good a keyboard's suggestions are, and what simple counting would achieve.

A *word position* is a position whose true next token is a word or an emoji: ends of messages,
punctuation and padding do not count, out-of-vocabulary words count only towards the
out-of-vocabulary rate. Recall@k is the share of in-vocabulary word positions whose next word is
among the k suggestions; suggestions are always words.

The baselines see the same training phones and are measured at the same positions of the same
held-out phones: `unigram` always suggests the commonest word, `bigram` the word that most often
followed the previous token.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from client_model.batches import evaluation_sequences, read_pairs
from client_model.client_data import Population
from client_model.vocabulary import BOS, FIRST_WORD, OOV


class WordCounts(NamedTuple):
    """Counts over the tokens of one phone; sums of them are exact in any order."""

    tokens: int
    word_positions: int
    out_of_vocabulary: int
    top1_hits: int
    top3_hits: int


def count_hits(targets: NDArray[np.int32], rank: NDArray[np.int32]) -> WordCounts:
    """Count a phone's hits; `rank` is the number of words ranked above the target: int32 [tokens]."""
    is_word = targets >= FIRST_WORD
    unknown = int((targets == OOV).sum())
    return WordCounts(
        len(targets),
        int(is_word.sum()) + unknown,
        unknown,
        int((is_word & (rank == 0)).sum()),
        int((is_word & (rank < 3)).sum()),
    )


class Baselines(NamedTuple):
    """Top-1 recall of counting; null where there is no in-vocabulary word position."""

    unigram_top1: float | None
    bigram_top1: float | None
    training_phones: int


def measure_baselines(
    population: Population,
    lookup: NDArray[np.int32],
    training_phones: NDArray[np.int64],
    held_out_phones: NDArray[np.int64],
    max_sequences: int,
    sequence_length: int,
    vocabulary_size: int,
) -> Baselines:
    """Fit both baselines on the training phones and measure them on the held-out ones."""
    pairs: list[NDArray[np.int64]] = []
    for phone in training_phones:
        previous, following = read_pairs(population, lookup, int(phone))
        words = following >= FIRST_WORD
        pairs.append(previous[words].astype(np.int64) * vocabulary_size + following[words])
    bigrams, counts = np.unique(np.concatenate(pairs), return_counts=True)
    previous, following = bigrams // vocabulary_size, bigrams % vocabulary_size
    totals = np.bincount(following, counts, vocabulary_size)
    unigram = int(totals.argmax()) if len(totals) else BOS
    best = np.full(vocabulary_size, unigram, np.int64)
    rising = np.lexsort((-following, counts))  # the last write wins: most frequent, then lowest id
    best[previous[rising]] = following[rising]

    hits, positions = np.zeros(2, np.int64), 0
    for phone in held_out_phones:
        inputs, targets, _ = evaluation_sequences(population, lookup, int(phone), max_sequences, sequence_length)
        words = targets >= FIRST_WORD
        target, source = targets[words], inputs[words]
        hits += (int((target == unigram).sum()), int((target == best[source]).sum()))
        positions += len(target)
    if not positions:
        return Baselines(None, None, len(training_phones))
    return Baselines(float(hits[0] / positions), float(hits[1] / positions), len(training_phones))
