"""Words are recovered from updates that tell them, and guessed from those that tell nothing."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize

from client_model.keyed_random import generator
from client_model.learning.cells.cifg import Cifg
from client_model.learning.language_model import ModelShape, initial_weights
from client_model.learning.local_training import LocalTrainer
from client_model.text.batches import pack
from client_model.text.vocabulary import FIRST_WORD
from simulation.studies.audits.word_attack import (
    WordAttack,
    WordPrior,
    best_guesses,
    logistic_regression,
    word_evidence,
    words_by_sign,
)

SHAPE = ModelShape(Cifg(), vocabulary_size=60, embedding_size=4, units=4, sequence_length=5)
V = 200


@pytest.fixture(scope="module")
def trainer():
    return LocalTrainer(SHAPE)


@settings(max_examples=20, deadline=None)
@given(st.lists(st.integers(FIRST_WORD, SHAPE.vocabulary_size - 1), min_size=1, max_size=20), st.floats(0.01, 4.0))
def test_the_words_of_a_real_update_are_those_whose_bias_rose(trainer, words, learning_rate):
    """Of one step from weights that hold no word likelier than once in 25 tokens."""
    pairs = np.array(words, np.int32)
    lengths = np.array([len(part) for part in np.array_split(pairs, -(-len(pairs) // SHAPE.sequence_length))])
    rows = np.arange(len(lengths))
    batches = pack(
        np.ones_like(pairs),
        pairs,
        lengths,
        order=rows,
        batch=np.zeros_like(rows),
        sequence_length=SHAPE.sequence_length,
    )
    update = trainer.train(trainer.load(initial_weights(SHAPE, 0)), batches, learning_rate).update
    assert set(np.flatnonzero(words_by_sign(update[-SHAPE.vocabulary_size :])).tolist()) == set(words)


def written_by(people, size=V, common=0.3, seed=0):
    """The first words are common: bool [people, size]."""
    rng = generator(seed, "made-up words")
    chance = common / (1 + np.arange(size) / 10)
    written = rng.random((people, size)) < chance
    written[:, :FIRST_WORD] = False
    return written


def evidence_of(written, strength, seed=1):
    """Normal noise, and more of it by `strength` where a word was written: float32 [people, V, 2]."""
    noise = generator(seed, "made-up evidence").normal(size=(*written.shape, 2))
    return (noise + strength * written[..., None]).astype(np.float32)


def recovered(strength):
    known, attacked = written_by(40), written_by(40, seed=2)
    prior = WordPrior.of(written_by(40, seed=3))
    attack = WordAttack.fitted(prior, evidence_of(known, strength), known.astype(np.float64))
    scores = np.stack([attack.probabilities(one) for one in evidence_of(attacked, strength, seed=4)])
    shares = [
        written[best_guesses(score, written.sum())].mean()
        for score, written in zip(scores, attacked, strict=True)
        if written.any()
    ]
    return np.mean(shares), scores, attacked


def test_an_update_whose_words_are_obvious_is_read_whole():
    share, scores, written = recovered(strength=30.0)
    assert share == 1.0
    assert ((scores > 0.5) == written).all()


def test_one_that_tells_nothing_is_no_better_than_guessing_and_no_worse():
    share, scores, written = recovered(strength=0.0)
    commonest = np.mean([one[FIRST_WORD:][: one.sum()].mean() for one in written])
    assert share == pytest.approx(commonest, abs=0.05)
    assert scores[:, FIRST_WORD:].mean() == pytest.approx(written[:, FIRST_WORD:].mean(), abs=0.01)


def test_more_evidence_recovers_more():
    shares = [recovered(strength)[0] for strength in (0.0, 1.0, 2.0, 4.0)]
    assert shares == sorted(shares) and shares[-1] > shares[0] + 0.3


def test_nothing_is_ever_named_that_is_no_word():
    _, scores, _ = recovered(strength=2.0)
    assert not scores[:, :FIRST_WORD].any()
    assert not words_by_sign(np.ones(V, np.float32))[:FIRST_WORD].any()
    assert (best_guesses(np.ones(V), 3) == FIRST_WORD + np.arange(3)).all()  # of equals, the more common


def test_evidence_is_the_bias_and_the_length_of_the_row():
    rows = np.array([[3.0, 4.0], [0.0, 0.0]])
    assert word_evidence(np.array([0.5, -1.0]), rows).tolist() == [[0.5, 5.0], [-1.0, 0.0]]


@pytest.mark.parametrize("seed", range(3))
def test_the_regression_is_the_one_that_a_general_optimiser_finds(seed):
    rng = generator(seed, "made-up examples")
    x = np.concatenate([np.ones((300, 1)), rng.normal(size=(300, 3))], 1)
    y = rng.random(300) < 1 / (1 + np.exp(-(x @ [-1.0, 2.0, 0.0, -0.5])))

    def loss(weights):
        logits = x @ weights
        return np.sum(np.logaddexp(0, logits) - y * logits) + np.sum(weights[1:] ** 2) / 2

    found = minimize(loss, np.zeros(4), tol=1e-10).x
    assert logistic_regression(x, y.astype(np.float64)) == pytest.approx(found, abs=1e-3)


@pytest.mark.parametrize("share", [0.0, 0.25, 1.0])
def test_without_evidence_the_regression_is_the_share(share):
    weights = logistic_regression(np.ones((8, 1)), np.full(8, share))
    assert 1 / (1 + np.exp(-weights[0])) == pytest.approx(share, abs=1e-9)


def test_evidence_that_separates_perfectly_has_finite_weights():
    x = np.stack([np.ones(20), np.repeat([-1.0, 1.0], 10)], 1)
    weights = logistic_regression(x, np.repeat([0.0, 1.0], 10))
    assert np.isfinite(weights).all() and weights[1] > 1
