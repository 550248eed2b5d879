import numpy as np
import pytest

from client_model.text.synthetic_text import SyntheticPopulation
from client_model.text.vocabulary import tokenize

POPULATION = SyntheticPopulation(seed=5, num_phones=1_000_000)


@pytest.mark.parametrize("phone", [0, 1, 17, 999_999])
def test_lengths_are_known_without_making_the_text(phone):
    _, offsets = POPULATION.types(phone)
    np.testing.assert_array_equal(np.diff(offsets), POPULATION.message_lengths(phone))


@pytest.mark.parametrize("phone", [3, 123_456])
def test_any_subset_of_messages_can_be_made_alone(phone):
    flat, offsets = POPULATION.types(phone)
    chosen = np.arange(len(offsets) - 1)[::3]
    some, some_offsets = POPULATION.types(phone, chosen)
    for i, m in enumerate(chosen):
        np.testing.assert_array_equal(some[some_offsets[i] : some_offsets[i + 1]], flat[offsets[m] : offsets[m + 1]])


def test_text_does_not_depend_on_the_size_of_the_population():
    assert SyntheticPopulation(5, 10).messages(7) == POPULATION.messages(7)


def test_seeds_and_phones_differ():
    assert SyntheticPopulation(6, 10).messages(7) != POPULATION.messages(7)
    assert POPULATION.messages(8) != POPULATION.messages(7)


@pytest.mark.parametrize("phone", [2, 40])
def test_type_ids_are_what_the_tokeniser_makes_of_the_text(phone):
    flat, _ = POPULATION.types(phone)
    tokens = [t for message in POPULATION.messages(phone) for t in tokenize(message)]
    assert len(tokens) == len(flat)
    lexicon = POPULATION.lexicon
    assert all(lexicon[t] == token for t, token in zip(flat, tokens, strict=True) if t < len(lexicon))


def test_private_words_are_private():
    size = len(POPULATION.lexicon)
    private = [set(flat[flat >= size].tolist()) for flat, _ in (POPULATION.types(p) for p in range(30))]
    assert sum(map(len, private)) == len(set.union(*private)) > 30


def test_phones_made_together_are_those_made_alone():
    population = SyntheticPopulation(seed=5, num_phones=400)
    phones = np.array([3, 399, 17, 0, 250])
    for phone, (flat, offsets) in zip(phones, population.types_of_phones(phones), strict=True):
        alone, bounds = population.types(int(phone))
        np.testing.assert_array_equal(flat, alone)
        np.testing.assert_array_equal(offsets, bounds)
        np.testing.assert_array_equal(np.diff(offsets), population.message_lengths(int(phone)))
