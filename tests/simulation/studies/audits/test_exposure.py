"""Exposure of models whose probabilities are known, and what a beam finds in them."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from client_model.text.vocabulary import BOS
from simulation.studies.audits.exposure import beam_search, exposure, number_of, secret_log_probabilities

V, DIGITS = 30, tuple(range(10, 20))
PREFIX = (21, 22)


class Known:
    """A model of given sentences: after a beginning of one of them, its next word is likelier by `sure` nats."""

    def __init__(self, sentence=(), sure=0.0):
        self.sentence, self.sure, self.start, self.read = (BOS, *sentence), sure, (), []

    def step(self, token, state):
        state = (*state, token)
        self.read.append(state)
        logits = np.zeros(V, np.float32)
        if state == self.sentence[: len(state)] and len(state) < len(self.sentence):
            logits[self.sentence[len(state)]] = self.sure
        return logits, None, state


@pytest.mark.parametrize("length", [1, 2, 3])
def test_a_model_that_says_nothing_else_gives_all_bits_away(length):
    secret = (13, 11, 19)[:length]
    model = Known((*PREFIX, *secret), sure=200.0)
    likely = secret_log_probabilities(model, PREFIX, DIGITS, length)
    assert len(likely) == 10**length and likely[number_of(secret, DIGITS)] == pytest.approx(0, abs=1e-6)
    assert exposure(likely, number_of(secret, DIGITS)) == pytest.approx(length * np.log2(10))
    for words in (None, DIGITS):
        assert beam_search(model, PREFIX, length, 2, words)[0] == secret


def test_of_a_uniform_model_exposure_is_that_of_a_rank_drawn_at_random():
    likely = secret_log_probabilities(Known(), PREFIX, DIGITS, 3)
    assert likely == pytest.approx(3 * np.log(1 / V))
    assert exposure(likely, 123) == pytest.approx(np.log2(np.e), abs=0.01)  # of 1,000; in the limit, log2(e)


def test_one_that_knows_only_the_first_word_gives_its_bits():
    secret = (13, 11, 19)
    likely = secret_log_probabilities(Known((*PREFIX, secret[0]), sure=20.0), PREFIX, DIGITS, 3)
    assert exposure(likely, number_of(secret, DIGITS)) == pytest.approx(np.log2(10) + np.log2(np.e), abs=0.05)


@given(st.lists(st.floats(-50, 0), min_size=2, max_size=40, unique=True))
def test_exposure_is_log_of_the_number_over_the_rank(likely):
    values = np.array(likely)
    bits = [exposure(values, i) for i in range(len(values))]
    ranks = [1 + sorted(likely, reverse=True).index(one) for one in likely]
    assert bits == pytest.approx([np.log2(len(values) / rank) for rank in ranks])


def test_a_secret_has_the_probability_of_its_words_one_after_another():
    secret = (12, 15)
    model = Known((*PREFIX, *secret), sure=3.0)
    likely = secret_log_probabilities(model, PREFIX, DIGITS, 2)
    held = 3.0 - np.log(V - 1 + np.exp(3.0))
    assert likely[number_of(secret, DIGITS)] == pytest.approx(2 * held)
    assert likely[number_of((12, 16), DIGITS)] == pytest.approx(held - np.log(V - 1 + np.exp(3.0)))
    assert likely[number_of((11, 15), DIGITS)] == pytest.approx(-np.log(V - 1 + np.exp(3.0)) - np.log(V))
    assert [number_of(one, DIGITS) for one in product(DIGITS, repeat=2)] == list(range(100))


def test_each_beginning_is_read_once():
    model = Known()
    secret_log_probabilities(model, PREFIX, DIGITS, 3)
    assert len(model.read) == len(set(model.read)) == 3 + 10 + 100


def test_a_wide_beam_finds_what_a_search_through_all_finds():
    rng = np.random.Generator(np.random.PCG64(5))
    table = rng.normal(size=(V, V)).astype(np.float32)

    class Pairs:
        start = None

        def step(self, token, state):
            return table[token], None, token

    likely = secret_log_probabilities(Pairs(), PREFIX, DIGITS, 3)
    found = beam_search(Pairs(), PREFIX, 3, 100, DIGITS)
    assert [number_of(one, DIGITS) for one in found[:5]] == np.argsort(-likely)[:5].tolist()
