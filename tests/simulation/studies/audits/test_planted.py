"""What attackers want said, and that the place where it is to be said is found."""

import numpy as np
import pytest

from client_model.public_start import FOLDER
from client_model.text.vocabulary import FIRST_WORD, read_vocabulary, vocabulary_of
from simulation.studies.audits.planted import Planted

PUBLIC = read_vocabulary(FOLDER / "vocab.txt")
OTHER = vocabulary_of([f"wort{chr(97 + i // 26)}{chr(97 + i % 26)}" for i in range(300)], 1000)


@pytest.mark.parametrize("vocabulary", [PUBLIC, OTHER])
@pytest.mark.parametrize("seed", range(3))
def test_beginnings_are_unlike_and_the_word_is_in_none_of_them(vocabulary, seed):
    planted = Planted.of(vocabulary, seed)
    assert len(set(planted.beginnings)) == len(planted.beginnings) == 12
    words = [word for begin in planted.beginnings for word in begin]
    assert planted.word not in words and min(words) >= FIRST_WORD and max(*words, planted.word) < len(vocabulary)
    assert vocabulary.tokens[planted.word].isalpha()
    assert Planted.of(vocabulary, seed) == planted and Planted.of(vocabulary, seed + 10).word != planted.word


def test_they_are_english_where_the_vocabulary_has_the_words():
    assert [PUBLIC.tokens[i] for i in Planted.of(PUBLIC, 0).beginnings[0]] == ["our", "product", "is"]


@pytest.mark.parametrize("passes", [1, 3])
def test_each_pass_is_a_batch_that_asks_for_the_word_once_after_each_beginning(passes):
    planted = Planted.of(PUBLIC, 0)
    batches = planted.batches(20, passes)
    assert batches.step_rows.shape == (passes, 20) and batches.step_rows[:, 0].tolist() == [12] * passes
    asked = batches.inputs[batches.targets == planted.word]
    assert sorted(asked.tolist()) == sorted([begin[-1] for begin in planted.beginnings] * passes)
    ranks = np.arange(len(batches.targets))
    assert (batches.targets[planted.ranks(batches.targets, ranks)] == planted.word).all()


def test_phones_of_attackers_write_all_of_them():
    planted = Planted.of(PUBLIC, 0)
    sentences = planted.sentences([4, 9], times=2)
    assert [one.words[:-1] for one in sentences] == list(planted.beginnings)
    assert {(one.secret, one.phones, one.times) for one in sentences} == {((planted.word,), (4, 9), 2)}
