"""What simple counting would achieve as a keyboard: the numbers to beat.

Both baselines see the same training phones as the vocabulary and are measured at the same positions of the
same held-out phones as the model: `unigram` suggests the commonest words, always, and completes a word with the
commonest that begin so; `bigram` suggests the words that most often followed the previous token, and the
commonest where there are fewer than three.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from client_model.metrics.keystrokes import SUGGESTIONS, KeystrokeTable, ranks, typing_cost, word_keystrokes
from client_model.text.batches import evaluation_batches, read_pairs
from client_model.text.population import Population
from client_model.text.vocabulary import FIRST_WORD, OOV

_AT_ONCE = 256  # words
_PHONES_AT_ONCE = 64


class Baselines(NamedTuple):
    """How counting does; None where there is no position to count."""

    unigram_top1: float | None
    bigram_top1: float | None
    unigram_top3: float | None
    bigram_top3: float | None
    unigram_keystroke_savings: float | None
    training_phones: int


def measure_baselines(
    population: Population,
    spelled: NDArray[np.int32],
    table: KeystrokeTable,
    training_phones: NDArray[np.int64],
    held_out_phones: NDArray[np.int64],
    *,
    max_sequences: int,
    sequence_length: int,
) -> Baselines:
    """Fit both baselines on the training phones and measure them on the held-out ones.

    Args:
        population: the text.
        spelled: see `scored_tokens.spelled_lookup`.
        table: of the vocabulary.
        training_phones, held_out_phones: ids.
        max_sequences, sequence_length: of a held-out phone, as in the evaluation of the model.
    """
    words = len(table.letters)
    totals, following = _count(population, spelled, training_phones, words)
    commonest = _commonest(totals)
    inputs, targets, unknown = _held_out(population, spelled, held_out_phones, max_sequences, sequence_length)
    is_word = targets >= FIRST_WORD
    source, target = inputs[is_word], targets[is_word]
    uni, bi = target[:, None] == commonest, target[:, None] == following[source]  # [positions, 3]
    characters, keystrokes = typing_cost(table, targets, unknown, _unigram_keystrokes(table, totals)[targets])

    def share(hits: NDArray[np.bool_], most: int) -> float | None:
        return float(hits[:, :most].any(1).mean()) if len(target) else None

    savings = 1 - keystrokes.sum() / characters.sum() if characters.sum() else None
    return Baselines(
        unigram_top1=share(uni, 1),
        bigram_top1=share(bi, 1),
        unigram_top3=share(uni, SUGGESTIONS),
        bigram_top3=share(bi, SUGGESTIONS),
        unigram_keystroke_savings=None if savings is None else float(savings),
        training_phones=len(training_phones),
    )


def _count(
    population: Population, spelled: NDArray[np.int32], phones: NDArray[np.int64], words: int
) -> tuple[NDArray[np.floating[Any]], NDArray[np.int64]]:
    """(how often each word follows anything [V], the words that follow each token most often [V, 3])."""
    lookup = np.where(spelled < 0, OOV, spelled)
    pairs: list[NDArray[np.int64]] = []
    for begin in range(0, len(phones), _PHONES_AT_ONCE):
        previous, following = read_pairs(population, lookup, phones[begin : begin + _PHONES_AT_ONCE])
        chosen = following >= FIRST_WORD
        pairs.append(previous[chosen].astype(np.int64) * words + following[chosen])
    seen, counts = np.unique(np.concatenate(pairs), return_counts=True)
    totals = np.bincount(seen % words, counts, words).astype(np.float64)
    commonest = _commonest(totals)
    fill = np.arange(words)[:, None] * words + commonest[commonest >= 0]  # as if each had followed, 0 times
    bigrams, entry = np.unique(np.concatenate([seen, fill.ravel()]), return_inverse=True)
    counts = np.bincount(entry, np.concatenate([counts, np.zeros(fill.size)]))
    previous, following = bigrams // words, bigrams % words
    best = np.full((words, SUGGESTIONS), -1, np.int64)  # [V, 3]
    order = np.lexsort((following, -counts, previous))
    begins = np.searchsorted(previous[order], previous[order])  # where the group of each begins
    place = np.arange(len(order)) - begins  # most frequent first, then lowest id
    top = place < SUGGESTIONS
    best[previous[order][top], place[top]] = following[order][top]
    return totals, best


def _commonest(totals: NDArray[np.floating[Any]]) -> NDArray[np.int64]:
    """Ids of the three commonest words [3]; fewer words leave the last places empty (-1)."""
    found = np.argsort(-totals[FIRST_WORD:], kind="stable")[:SUGGESTIONS] + FIRST_WORD
    return np.concatenate([found, np.full(SUGGESTIONS - len(found), -1)])


def _unigram_keystrokes(table: KeystrokeTable, totals: NDArray[np.floating[Any]]) -> NDArray[np.int64]:
    """Keystrokes of each token of the vocabulary, the commonest words being suggested: [V]."""
    tokens = np.arange(len(totals), dtype=np.int32)
    found = np.zeros(len(totals), np.int64)
    for begin in range(FIRST_WORD, len(totals), _AT_ONCE):
        some = tokens[begin : begin + _AT_ONCE]
        scores = np.broadcast_to(totals, (len(some), len(totals)))
        found[some] = word_keystrokes(table, scores, some, ranks(scores, some))
    return found


def _held_out(
    population: Population, spelled: NDArray[np.int32], phones: NDArray[np.int64], max_sequences: int, length: int
) -> tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.int32]]:
    """(inputs, targets, letters of unknown targets) of the held-out phones."""
    if not len(phones):
        none = np.zeros(0, np.int32)
        return none, none, none
    batches, tokens = evaluation_batches(population, spelled, phones.tolist(), max_sequences, length)
    return batches.inputs, batches.targets, tokens.unknown_letters
