import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from client_model.learning.cells.cifg import Cifg
from client_model.learning.central_training import one_pass, train_centrally
from client_model.learning.language_model import ModelShape, flatten, initial_weights
from client_model.text.synthetic_text import SyntheticPopulation
from client_model.text.vocabulary import build_vocabulary
from client_model.text.word_counts import type_counts


@pytest.fixture(scope="module")
def corpus():
    population = SyntheticPopulation(3, 12)
    counts = type_counts(population, np.arange(12))
    vocabulary = build_vocabulary(list(population.lexicon), counts, 200)
    return population, vocabulary.lookup_table(population.lexicon), ModelShape(Cifg(), len(vocabulary), 8, 12, 20)


def train(corpus, seed=0, epochs=2, learning_rate=2.0):
    population, lookup, shape = corpus
    seen = []
    weights = train_centrally(
        population,
        lookup,
        shape,
        initial_weights(shape, 5),
        epochs=epochs,
        learning_rate=learning_rate,
        max_gradient_norm=0.5,
        seed=seed,
        progress=lambda done, loss: seen.append((done, loss)),
    )
    return flatten(weights), seen


def test_it_learns_and_tells_how_far_it_is(corpus):
    _, seen = train(corpus, epochs=8)
    shares, losses = zip(*seen, strict=True)
    assert shares[-1] == 1.0 and list(shares) == sorted(shares)
    assert losses[-1] < losses[0] - 0.2  # of 12 phones, whose loss starts at 5.3 and falls fast


def test_the_seed_is_the_order(corpus):
    first, again, other = (train(corpus, seed, epochs=1)[0] for seed in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


def test_a_step_size_near_nothing_leaves_the_weights(corpus):
    weights, _ = train(corpus, learning_rate=1e-12)
    np.testing.assert_allclose(weights, flatten(initial_weights(corpus[2], 5)), atol=1e-9)


@given(st.lists(st.tuples(st.integers(0, 40), st.floats(0, 5)), min_size=1, max_size=5), st.integers(0, 9))
def test_a_pass_reads_each_part_as_often_as_is_said(parts, seed):
    sizes, passes = (list(column) for column in zip(*parts, strict=True))
    read = np.bincount(one_pass(sizes, passes, np.random.default_rng(seed)), minlength=sum(sizes))
    assert len(read) == sum(sizes)
    for of_part, size, times in zip(np.split(read, np.cumsum(sizes)[:-1]), sizes, passes, strict=True):
        assert of_part.sum() == int(times) * size + round((times - int(times)) * size)
        assert ((of_part == int(times)) | (of_part == int(times) + 1)).all()


def test_a_pass_over_everything_reads_everything_once():
    assert sorted(one_pass([3, 0, 4], None, np.random.default_rng(0)).tolist()) == list(range(7))
