"""What simple counting would achieve as a keyboard: the numbers to beat.

All see the same training phones as the vocabulary and are measured at the same positions of the
same held-out phones as the model: `unigram` suggests the commonest words, always, and completes a word with the
commonest that begin so; `bigram` suggests the words that most often followed the previous token, and the
commonest where there are fewer than three; `trigram` suggests the likeliest words after the last two tokens, by counts
that are smoothed with those of shorter histories (`witten_bell`), and so does the bigram where a word is completed.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from client_model.metrics.keystrokes import SUGGESTIONS, KeystrokeTable, ranks, typing_cost, word_keystrokes
from client_model.metrics.witten_bell import WittenBell
from client_model.text.batches import last_sequences, read_pairs
from client_model.text.population import Population
from client_model.text.vocabulary import BOS, FIRST_WORD, OOV, PAD
from typefleet.steps import each

_AT_ONCE = 64  # words, whose scores stay near the core
_PHONES_AT_ONCE = 64


class Baselines(NamedTuple):
    """How counting does; None where there is no position to count, or a run of an earlier version did not count it."""

    unigram_top1: float | None = None
    bigram_top1: float | None = None
    trigram_top1: float | None = None
    unigram_top3: float | None = None
    bigram_top3: float | None = None
    trigram_top3: float | None = None
    unigram_keystroke_savings: float | None = None
    bigram_keystroke_savings: float | None = None
    trigram_keystroke_savings: float | None = None
    training_phones: int = 0


class PhonesText(NamedTuple):
    """Text of some phones of a population."""

    population: Population
    spelled: NDArray[np.int32]  # from its types to ids; see `scored_tokens.spelled_lookup`
    phones: NDArray[np.int64]


def measure_baselines(
    counted: PhonesText, held_out: PhonesText, table: KeystrokeTable, *, max_sequences: int, sequence_length: int
) -> Baselines:
    """Fit the baselines on one text and measure them on another.

    Args:
        counted: what they are fitted on.
        held_out: what they are measured on.
        table: of the vocabulary.
        max_sequences, sequence_length: of a held-out phone, as in the evaluation of the model.
    """
    words = len(table.letters)
    before, previous, following = _counted_tokens(counted)
    totals, best = _count(previous, following, words)
    commonest = _commonest(totals)
    measured = _positions(held_out, max_sequences, sequence_length)
    is_word = measured.targets >= FIRST_WORD
    source, target = measured.inputs[is_word], measured.targets[is_word]
    uni, bi = target[:, None] == commonest, target[:, None] == best[source]  # [positions, 3]
    smoothed = _smoothed(table, WittenBell(before, previous, following, words), measured)

    def share(hits: NDArray[np.bool_], most: int) -> float | None:
        return float(hits[:, :most].any(1).mean()) if len(target) else None

    def ranked(most: int) -> float | None:
        return float((smoothed.rank[is_word] < most).mean()) if len(target) else None

    def savings(keystrokes_of_words: NDArray[np.int64]) -> float | None:
        characters, keystrokes = typing_cost(table, measured.targets, measured.unknown, keystrokes_of_words)
        return float(1 - keystrokes.sum() / characters.sum()) if characters.sum() else None

    return Baselines(
        unigram_top1=share(uni, 1),
        bigram_top1=share(bi, 1),
        trigram_top1=ranked(1),
        unigram_top3=share(uni, SUGGESTIONS),
        bigram_top3=share(bi, SUGGESTIONS),
        trigram_top3=ranked(SUGGESTIONS),
        unigram_keystroke_savings=savings(_unigram_keystrokes(table, totals)[measured.targets]),
        bigram_keystroke_savings=savings(smoothed.keystrokes_after_one),
        trigram_keystroke_savings=savings(smoothed.keystrokes_after_two),
        training_phones=len(counted.phones),
    )


class _Positions(NamedTuple):
    """The positions that the model is measured at; int [n] each."""

    before: NDArray[np.int32]  # the token before the input; PAD where the sequence begins
    inputs: NDArray[np.int32]
    targets: NDArray[np.int32]
    unknown: NDArray[np.int32]  # letters of targets outside the vocabulary


class _Smoothed(NamedTuple):
    """How smoothed counts do at each position; int64 [n] each."""

    rank: NDArray[np.int64]  # of the target, after two tokens
    keystrokes_after_one: NDArray[np.int64]
    keystrokes_after_two: NDArray[np.int64]


def _smoothed(table: KeystrokeTable, model: WittenBell, at: _Positions) -> _Smoothed:
    words = len(table.letters)
    places = (at.before.astype(np.int64) * words + at.inputs) * words + at.targets  # [n], of at most 100,000 ** 3
    _, asked, which = np.unique(places, return_index=True, return_inverse=True)  # a quarter comes again
    found = _Smoothed(*np.zeros((3, len(asked)), np.int64))
    begins = range(0, len(asked), _AT_ONCE)
    for begin in each("measuring what counting achieves", begins, len(begins)):
        some = slice(begin, begin + _AT_ONCE)
        before, last, target = at.before[asked[some]], at.inputs[asked[some]], at.targets[asked[some]]
        scores = model.after_one(last)  # [n, V]
        found.keystrokes_after_one[some] = word_keystrokes(table, scores, target, ranks(scores, target))
        model.also_after(scores, before, last)
        found.rank[some] = ranks(scores, target)
        found.keystrokes_after_two[some] = word_keystrokes(table, scores, target, found.rank[some])
    return _Smoothed(*(column[which] for column in found))


def _counted_tokens(counted: PhonesText) -> tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.int32]]:
    """(token before the last one, last one, word) of each word on the phones: three int32 [n]."""
    population, spelled, phones = counted
    lookup = np.where(spelled < 0, OOV, spelled)
    parts = []
    begins = range(0, len(phones), _PHONES_AT_ONCE)
    for begin in each("counting what follows what", begins, len(begins)):
        previous, following = read_pairs(population, lookup, phones[begin : begin + _PHONES_AT_ONCE])
        chosen = following >= FIRST_WORD
        parts.append((_token_before(previous, previous == BOS)[chosen], previous[chosen], following[chosen]))
    before, last, word = (np.concatenate(column) for column in zip(*parts, strict=True))
    return before, last, word


def _token_before(inputs: NDArray[np.int32], begins: NDArray[np.bool_]) -> NDArray[np.int32]:
    """The input before each input; PAD where a sequence begins."""
    return np.where(begins, PAD, np.concatenate([[PAD], inputs[:-1]])).astype(np.int32)


def _count(
    previous: NDArray[np.int32], following: NDArray[np.int32], words: int
) -> tuple[NDArray[np.floating[Any]], NDArray[np.int64]]:
    """(how often each word follows anything [V], the words that follow each token most often [V, 3])."""
    seen, counts = np.unique(previous.astype(np.int64) * words + following, return_counts=True)
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


def _positions(held_out: PhonesText, max_sequences: int, length: int) -> _Positions:
    population, spelled, phones = held_out
    parts = [last_sequences(population, spelled, phone, max_sequences, length) for phone in phones.tolist()]
    none = np.zeros(0, np.int32), np.zeros(0, np.int32), np.zeros(0, np.int64)
    inputs, targets, lengths = (np.concatenate(column) for column in zip(none, *parts, strict=True))
    begins = np.zeros(len(inputs), bool)
    begins[np.cumsum(lengths) - lengths] = True
    inputs = np.where(inputs < 0, OOV, inputs).astype(np.int32)
    known = np.where(targets < 0, OOV, targets).astype(np.int32)
    return _Positions(_token_before(inputs, begins), inputs, known, np.maximum(-targets, 0))
