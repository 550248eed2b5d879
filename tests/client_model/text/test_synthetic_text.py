import numpy as np
import pytest

from client_model.keyed_random import purpose_key, uniform
from client_model.text import synthetic_text
from client_model.text.synthetic_text import JUMP_SHARE, SyntheticPopulation
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


def test_the_chain_is_walked_as_if_word_by_word():
    language, key = synthetic_text._language(5), purpose_key(1, "a walk")
    topics, lengths = np.array([3, 0, 15, 3]), np.array([40, 1, 0, 25])
    phones, messages = np.array([7, 7, 8, 9]), np.array([0, 1, 0, 4])
    flat, offsets = synthetic_text._walk(language, topics, lengths, key, phones, messages)
    assert np.diff(offsets).tolist() == lengths.tolist()
    starts, size = len(language.row_start) - 2, len(language.successor) + 1
    expected = []
    for topic, length, phone, message in zip(topics, lengths, phones, messages, strict=True):
        row, of_topic = starts, language.cumulative[topic * size : (topic + 1) * size]
        for place in range(length):
            draw = float(uniform(key, phone, message, place))
            jumps = draw < JUMP_SHARE
            row = starts if jumps else row
            draw = draw / JUMP_SHARE if jumps else (draw - JUMP_SHARE) / (1 - JUMP_SHARE)
            begin, end = language.row_start[row], language.row_start[row + 1]
            target = of_topic[begin] + draw * (of_topic[end] - of_topic[begin])
            pair = np.clip(np.searchsorted(of_topic, target, side="right") - 1, begin, end - 1)
            expected.append(language.successor[pair] + len(synthetic_text.PUNCTUATION))
            row = language.next_row[language.successor[pair]]
    assert flat.tolist() == expected


def test_the_listed_pairs_are_those_of_suitable_words():
    words, first, second, counts = synthetic_text._read_bigrams()
    assert words == sorted({words[i] for i in [*first, *second]})
    assert all(word.isalpha() and (len(word) > 1 or word in "ai") for word in words)
    assert not synthetic_text.UNSUITABLE.intersection(words)
    assert len(first) == len(second) == len(counts) > 200_000 and counts.min() > 0
    assert words[first[0]] == "abcs" and words[second[0]] == "of" and counts[0] == 10956800  # the file's first line
