"""Completion forgives one slip, and no more."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from client_model.suggestions.completion import EXACT, NEAR, UNLIKE, fit
from client_model.suggestions.strip import Strip
from client_model.text.vocabulary import PUNCTUATION, SPECIAL_TOKENS, Vocabulary

LETTERS = st.text("abc", min_size=1, max_size=6)


def edits(typed):
    """All texts one edit away that keep the first letter."""
    for i in range(1, len(typed) + 1):
        yield from (typed[:i] + letter + typed[i:] for letter in "abc")  # one was missing
        yield typed[:i] + typed[i + 1 :]  # one too many
        yield from (typed[:i] + letter + typed[i + 1 :] for letter in "abc")
        if i + 1 < len(typed):
            yield typed[:i] + typed[i + 1] + typed[i] + typed[i + 2 :]


@given(LETTERS, LETTERS)
def test_it_fits_as_trying_every_edit_says(word, typed):
    near = any(word.startswith(other) for other in edits(typed))
    expected = EXACT if word.startswith(typed) else NEAR if near else UNLIKE
    assert fit(word, typed) == expected


@given(st.lists(LETTERS, unique=True, min_size=1, max_size=20), LETTERS, st.randoms())
def test_exact_beginnings_come_first_and_all_is_within_one_edit(words, typed, random):
    vocabulary = Vocabulary((*SPECIAL_TOKENS, *PUNCTUATION, *words))
    logits = np.array([random.choice((0.0, 1.0, 2.0)) for _ in vocabulary.tokens], np.float32)
    found = Strip(vocabulary).words(logits, [], typed)
    kinds = [fit(word, typed) for word in found]
    assert len(found) == len(set(found)) <= 3 and kinds == sorted(kinds) and UNLIKE not in kinds
    fitting = [word for word in words if fit(word, typed) < UNLIKE]
    score = dict(zip(vocabulary.tokens, logits.tolist(), strict=True))
    assert found == sorted(fitting, key=lambda word: (fit(word, typed), -score[word], words.index(word)))[:3]


def test_slips_of_each_kind_are_forgiven():
    assert [fit("tomorrow", typed) for typed in ("tom", "tmo", "ton", "toom", "tomrr", "omo")] == [0, 1, 1, 1, 1, 2]
