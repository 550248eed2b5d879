"""Smoothed counts agree with the textbook's recursion, written out word by word."""

from collections import Counter, defaultdict

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from client_model.metrics.witten_bell import WittenBell
from client_model.text.vocabulary import FIRST_WORD

SIZE = FIRST_WORD + 5
tokens = st.integers(0, SIZE - 1)
triples = st.lists(st.tuples(tokens, tokens, st.integers(FIRST_WORD, SIZE - 1)), max_size=40)


def recursion(counted, histories):
    """P(w) for each word, from the shortest history to the longest."""
    found = dict.fromkeys(range(FIRST_WORD, SIZE), 1 / (SIZE - FIRST_WORD))
    for length in (0, 1, 2):
        history = histories[2 - length :]
        seen = Counter(word for *before, word in counted if tuple(before)[2 - length :] == history)
        total, kinds = seen.total(), len(seen)
        if total:
            found = {w: (seen[w] + kinds * p) / (total + kinds) for w, p in found.items()}
    return [found.get(w, 0.0) for w in range(SIZE)]


def columns(counted):
    return np.array(counted, np.int64).reshape(-1, 3).T


@given(counted=triples, asked=st.lists(st.tuples(tokens, tokens), min_size=1, max_size=6))
def test_it_is_the_recursion(counted, asked):
    model = WittenBell(*columns(counted), SIZE)
    before, last = np.array(asked).T
    np.testing.assert_allclose(model.after_two(before, last), [recursion(counted, one) for one in asked])
    np.testing.assert_allclose(model.after_two(before, last).sum(1), 1)
    unseen = -1  # a token before that no history has
    np.testing.assert_allclose(model.after_one(last), [recursion(counted, (unseen, one)) for one in last.tolist()])


def test_a_longer_history_says_more():
    counted = [(1, 2, 9)] * 3 + [(3, 2, 10)] * 5
    model = WittenBell(*columns(counted), SIZE)
    assert model.after_one(np.array([2]))[0].argmax() == 10
    assert model.after_two(np.array([1]), np.array([2]))[0].argmax() == 9
    assert model.after_two(np.array([4]), np.array([2]))[0].argmax() == 10  # unseen: as after one


@pytest.mark.parametrize("counted", [[], [(1, 2, 9)]])
def test_few_counts_are_enough(counted):
    by_history = defaultdict(list)
    for *history, word in counted:
        by_history[tuple(history)].append(word)
    scores = WittenBell(*columns(counted), SIZE).after_two(np.array([1]), np.array([2]))
    assert np.isfinite(scores).all() and (scores[0, :FIRST_WORD] == 0).all()
    assert scores[0].argmax() == by_history.get((1, 2), [FIRST_WORD])[0]
