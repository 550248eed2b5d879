"""What typing costs on a keyboard that shows three suggestions.

While a word is typed, the strip shows the three likeliest words that begin with the letters typed so far
(none yet: the next-word suggestions). Accepting one costs one keystroke, its space included; a word that
is never shown is typed letter by letter, and its space. So a word of n letters costs k + 1 keystrokes, where
k < n is the least number of letters after which it is shown, and n + 1 where there is none.

Keystroke savings = 1 - keystrokes / characters, over words, unknown ones (always typed in full) and
punctuation (one keystroke, no space).

A letter is what a person sees as one: a grapheme cluster (UAX #29), so an emoji is one letter.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import regex
from numpy.typing import NDArray

from client_model.text.vocabulary import FIRST_WORD, OOV, SPECIAL_TOKENS

SUGGESTIONS = 3  # shown at once
_ROWS_AT_A_TIME = 16
_INT32 = 2**31


class KeystrokeTable(NamedTuple):
    """Which words of a vocabulary begin alike; P is one less than the letters of the longest word."""

    letters: NDArray[np.int32]  # [V], 0 for special tokens
    alphabetical: NDArray[np.int32]  # [V - FIRST_WORD], ids of the words in the order of their letters
    first: NDArray[np.int64]  # [V, P], where in that order the words with the same first 1 .. P letters begin
    last: NDArray[np.int64]  # [V, P], and end


def letters_of(token: str) -> list[str]:
    """The letters of a token, as a person counts them."""
    if token.isascii() and token.isalnum():  # nearly all: nothing joins these
        return list(token)
    letters: list[str] = regex.findall(r"\X", token)
    return letters


def keystroke_table(tokens: Sequence[str]) -> KeystrokeTable:
    """The table of a vocabulary's tokens, in the order of their ids.

    Its size grows with the letters of the longest word, of which a vocabulary has at most
    `typefleet.untrusted.limits.WORD_CHARACTERS`; the time to make it, with all letters.
    """
    spelled = [letters_of(token) for token in tokens]
    letters = np.array([0 if i < len(SPECIAL_TOKENS) else len(s) for i, s in enumerate(spelled)], np.int32)
    words = sorted(range(FIRST_WORD, len(tokens)), key=lambda i: spelled[i])
    depth = max(int(letters.max(initial=1)) - 1, 1)
    alike = np.array([0, *(_alike(spelled[a], spelled[b]) for a, b in pairwise(words))], np.int32)[: len(words)]
    order, place = np.array(words, np.int32), np.arange(len(words))
    first, last = np.zeros((2, len(tokens), depth), np.int64)
    for typed in range(1, depth + 1):
        begins = alike < typed  # [words], the first of those with the same letters so far
        begin = np.maximum.accumulate(np.where(begins, place, 0))
        group = np.cumsum(begins) - 1
        end = np.append(np.flatnonzero(begins)[1:], len(words))[group]
        longer = letters[order] > typed
        first[order[longer], typed - 1], last[order[longer], typed - 1] = begin[longer], end[longer]
    return KeystrokeTable(letters, order, first, last)


def _alike(one: Sequence[str], other: Sequence[str]) -> int:
    """Letters that two words begin with in common."""
    same = 0
    for a, b in zip(one, other, strict=False):
        if a != b:
            break
        same += 1
    return same


def ranks(logits: NDArray[np.floating[Any]], targets: NDArray[np.int32]) -> NDArray[np.int64]:
    """Words ranked above each target: [n] from logits [n, V]; of equal logits the lower id comes first."""
    own = logits[np.arange(len(targets)), targets][:, None]  # [n, 1]
    words, is_word = logits[:, FIRST_WORD:], targets >= FIRST_WORD  # [n, V - FIRST_WORD], [n]
    above = np.zeros(len(targets), np.int64)
    holds = np.empty((_ROWS_AT_A_TIME, words.shape[1]), np.bool_)  # small enough for the cache
    for begin in range(0, len(targets), _ROWS_AT_A_TIME):
        some = slice(begin, begin + _ROWS_AT_A_TIME)
        here = np.greater(words[some], own[some], out=holds[: len(own[some])])
        above[some] = [np.count_nonzero(row) for row in here]  # numpy counts a row much faster than rows
        np.equal(words[some], own[some], out=here)
        equal = np.array([np.count_nonzero(row) for row in here])
        for row in np.flatnonzero(equal > is_word[some]):  # equal to another word: rare
            above[begin + row] += np.count_nonzero(here[row, : max(targets[begin + row] - FIRST_WORD, 0)])
    return above


def shown_first(logits: NDArray[np.floating[Any]]) -> NDArray[np.int64]:
    """Ids of the three likeliest words: [n, 3] from finite logits [n, V]; of equal logits the lower id comes first."""
    words = logits[:, FIRST_WORD:].copy()  # [n, V - FIRST_WORD]
    row = np.arange(len(words))
    shown = np.empty((len(words), SUGGESTIONS), np.int64)
    for place in range(SUGGESTIONS):  # three passes over all words: a hundredth of what it takes to sort them
        shown[:, place] = words.argmax(1)
        words[row, shown[:, place]] = -np.inf
    return shown + FIRST_WORD


def word_keystrokes(
    table: KeystrokeTable, logits: NDArray[np.floating[Any]], targets: NDArray[np.int32], rank: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Keystrokes for each target that is a word of the vocabulary: [n]; 0 for other targets.

    Args:
        table: of the vocabulary.
        logits: float [n, V].
        targets: int32 [n].
        rank: of each target among all words, int [n], see `ranks`.
    """
    typed = (targets >= FIRST_WORD).astype(np.int64)  # one tap, if it is among the next-word suggestions
    late = np.flatnonzero((targets >= FIRST_WORD) & (rank >= SUGGESTIONS))
    if len(late):
        typed[late] += _letters_needed(table, logits, targets, late)
    return typed


def _letters_needed(
    table: KeystrokeTable, logits: NDArray[np.floating[Any]], targets: NDArray[np.int32], late: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Letters until each of the words at `late` is shown, or all of them: [n] for n of the targets."""
    target = targets[late]  # [n]
    first, last = table.first[target], table.last[target]  # [n, P]
    size = last[:, 0] - first[:, 0]  # [n], words with the same first letter
    begin = np.cumsum(size) - size  # [n]
    index: type[np.signedinteger[Any]] = np.int32 if logits.size < _INT32 else np.int64  # half as much to move
    place: NDArray[np.signedinteger[Any]] = np.arange(size.sum(), dtype=index)  # [m]
    place += np.repeat((first[:, 0] - begin).astype(index), size)
    ids = table.alphabetical.take(place)  # [m]
    row_begins: NDArray[Any] = (late * logits.shape[1]).astype(index)  # [n]
    other = logits.reshape(-1).take(np.repeat(row_begins, size) + ids)  # [m]
    own = np.repeat(logits[late, target], size)  # [m]
    above = other > own  # [m]
    equal = np.flatnonzero(other == own)
    above[equal] = ids[equal] < np.repeat(target, size)[equal]
    before = np.zeros(len(above) + 1, np.int32)  # [m + 1]
    np.cumsum(above, out=before[1:])
    shift = (begin - first[:, 0])[:, None]  # [n, 1]
    shorter = np.arange(1, first.shape[1] + 1) < table.letters[target][:, None]  # [n, P], prefixes of the word
    left, right = np.where(shorter, first + shift, 0), np.where(shorter, last + shift, 0)
    shown = shorter & (before[right] - before[left] < SUGGESTIONS)  # [n, P]
    return np.where(shown.any(1), shown.argmax(1) + 1, table.letters[target])


def typing_cost(
    table: KeystrokeTable,
    targets: NDArray[np.int32],
    unknown_letters: NDArray[np.int32],
    with_suggestions: NDArray[np.int64],
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """(characters [n], keystrokes [n]) of each token; the end of a message costs nothing.

    Args:
        table: of the vocabulary.
        targets: int32 [n].
        unknown_letters: int32 [n], letters of the targets outside the vocabulary.
        with_suggestions: int [n], from `word_keystrokes`.
    """
    is_word = targets >= FIRST_WORD
    characters = table.letters[targets] + is_word
    characters = np.where(targets == OOV, unknown_letters + 1, characters)
    return characters, np.where(is_word, with_suggestions, characters)
