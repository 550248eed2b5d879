"""Completion forgives one slip, two in a long word, and the want of an apostrophe."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from client_model.suggestions.completion import EXACT, FAR, NEAR, UNLIKE, fit
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
    near = near or (len(typed) > 2 and word.startswith(typed[1] + typed[0] + typed[2:]))
    assert fit(word, typed) == (EXACT if word.startswith(typed) else NEAR if near else UNLIKE)


@given(st.text("abc", min_size=7, max_size=8), st.data())
def test_two_slips_in_a_long_word_are_forgiven(typed, data):
    """One in each half: where a slip is made in what another has swapped, they may count as more."""
    first, last = data.draw(st.sampled_from(sorted(set(edits(typed[:3]))))), typed[3:]
    word = first + data.draw(st.sampled_from(sorted(set(edits(last))))) + data.draw(st.text("abc", max_size=3))
    assert fit(word, typed) <= FAR


@given(st.text("abc", min_size=5, max_size=9), st.text("abc", min_size=7, max_size=7))
def test_what_is_far_off_is_within_two_slips(word, typed):
    if fit(word, typed) == FAR:
        assert any(word.startswith(twice) for once in edits(typed) for twice in edits(once))


def test_apostrophes_need_not_be_typed_and_are_meant_where_they_are():
    assert [fit("don't", typed) for typed in ("dont", "don't", "don'", "dnt", "do'nt")] == [0, 0, 0, 3, 1]
    assert [fit("i'm", typed) for typed in ("im", "i'm", "imm")] == [0, 0, 1]
    assert fit("its", "it's") == NEAR


@given(st.lists(LETTERS, unique=True, min_size=1, max_size=20), LETTERS, st.randoms())
def test_exact_beginnings_come_first_and_the_letters_themselves_last(words, typed, random):
    vocabulary = Vocabulary((*SPECIAL_TOKENS, *PUNCTUATION, *words))
    logits = np.array([random.choice((0.0, 1.0, 2.0)) for _ in vocabulary.tokens], np.float32)
    strip = Strip(vocabulary)
    found = strip.words(logits, [], typed)
    kinds = [fit(word, typed) for word in found]
    assert len(found) == len(set(found)) <= 3 and kinds == sorted(kinds) and UNLIKE not in kinds
    fitting = [word for word in words if fit(word, typed) < UNLIKE]
    score = dict(zip(vocabulary.tokens, logits.tolist(), strict=True))
    offers_them = typed not in words and sum(word.startswith(typed) for word in words) < 3
    best = sorted(fitting, key=lambda word: (fit(word, typed), -score[word], words.index(word)))
    assert found == best[: 2 if offers_them else 3]
    shown = strip.offered(logits, [], typed)
    assert len(shown) == len(found) + offers_them <= 3 and (f"“{typed}”" in shown[-1:]) == offers_them


def test_slips_of_each_kind_are_forgiven():
    typed = ("tom", "tmo", "ton", "toom", "tomrr", "tommorow", "tmororow", "otmo", "omo", "tmoror", "tmrro", "tbmbr")
    assert [fit("tomorrow", one) for one in typed] == [0, 1, 1, 1, 1, 2, 2, 1, 3, 3, 3, 3]
