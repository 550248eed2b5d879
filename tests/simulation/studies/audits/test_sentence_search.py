"""Beam search over a bag of words, and how much of what was written it has come to."""

from itertools import product
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from client_model.config import ModelConfig, TrainingConfig
from client_model.learning.language_model import flatten, initial_weights, model_shape
from client_model.text.batches import training_batches
from client_model.text.vocabulary import BOS, EOS, FIRST_WORD, OOV
from client_model.tflite.reference_model import ReferenceModel
from simulation.studies.audits import sentence_search
from simulation.studies.audits.batched_model import BatchedModel
from simulation.studies.audits.sentence_search import search, sequences_of
from simulation.studies.audits.sentences_told import (
    AFTER,
    BEFORE,
    SentenceReader,
    Written,
    best_overlap,
    runs_of,
)
from simulation.studies.audits.update_sums import CLIPPED, SUM
from tests.client_model.text.test_batches import LOOKUP, ListPopulation, unpack

SHAPE = model_shape(ModelConfig(vocabulary_size=20, embedding_size=6, units=8, sequence_length=6), 20)
WEIGHTS = [3 * weight for weight in initial_weights(SHAPE, 1)]
BAG = np.array([12, 9])


def test_a_beam_that_is_wide_enough_finds_all_sentences_in_order_of_their_probability(monkeypatch):
    monkeypatch.setattr(sentence_search, "_BEGINNINGS", 99)
    monkeypatch.setattr(sentence_search, "_WIDTH", 99)
    reference = ReferenceModel(SHAPE, WEIGHTS)

    def likely(words):
        logits = reference.logits(np.array([BOS, *words])).astype(np.float64)
        known = logits - np.logaddexp.reduce(logits, axis=1, keepdims=True)
        return sum(known[place, word] for place, word in enumerate((*words, EOS)))

    tokens = [*range(OOV + 1, FIRST_WORD), 9, 12]
    every = [words for length in (1, 2, 3) for words in product(tokens, repeat=length)]
    found = search(BatchedModel(SHAPE, flatten(WEIGHTS)), BAG, 3)
    assert sorted(found) == sorted(every)
    scores = [likely(words) for words in found]
    assert scores == pytest.approx(sorted(scores, reverse=True), abs=1e-4)


def test_a_narrow_beam_follows_the_best_of_each_beginning(monkeypatch):
    monkeypatch.setattr(sentence_search, "_BEGINNINGS", 3)
    monkeypatch.setattr(sentence_search, "_WIDTH", 2)
    model = BatchedModel(SHAPE, flatten(WEIGHTS))
    found = search(model, BAG, 5)
    assert len(found) == len(set(found)) == 3 + 4 * 3 * 2
    assert {len({words[0] for words in found if len(words) == n}) for n in range(1, 6)} == {3}
    assert found == search(model, BAG[::-1], 5)


messages = st.lists(st.lists(st.integers(0, 9), min_size=1, max_size=9), min_size=1, max_size=7)


@given(messages)
def test_sequences_are_those_that_a_phone_trains_on(text):
    config = TrainingConfig(max_sequences=99, batch_size=3, epochs=1)
    batches = training_batches(ListPopulation([text]), LOOKUP, 0, config, sequence_length=6, seed=0, server_round=1)
    pairs = [sequence for batch in unpack(batches, 6) for sequence in batch]
    found = list(sequences_of(batches))
    assert len(found) == len(pairs)
    for (is_whole, tokens), own in zip(found, pairs, strict=True):
        targets = [target for _, target in own]
        assert list(tokens) == [one for one in targets if one != EOS]
        assert is_whole == (own[0][0] == BOS and targets[-1] == EOS)
    whole = {tuple(LOOKUP[message]) for message in text if len(message) <= 5}
    assert Written.of(found).messages == whole


words = st.lists(st.integers(8, 13), max_size=12).map(tuple)


@given(words.filter(bool), st.lists(words, max_size=4))
def test_overlap_is_the_f1_of_the_longest_common_subsequence(message, named):
    def common(a, b):
        table = np.zeros((len(a) + 1, len(b) + 1), int)
        for i, j in product(range(len(a)), range(len(b))):
            longer = max(table[i, j + 1], table[i + 1, j])
            table[i + 1, j + 1] = table[i, j] + 1 if a[i] == b[j] else longer
        return table[-1, -1]

    f1 = [2 * common(message, one) / (len(message) + len(one)) for one in named]
    assert best_overlap(message, named) == pytest.approx(max(f1, default=0))


def test_runs_end_at_punctuation_and_at_unknown_words():
    assert runs_of((8, 9, 10, 11, 12)) == {(8, 9, 10, 11), (9, 10, 11, 12)}
    assert runs_of((8, 9, 4, 10, 11)) == runs_of((8, 9, OOV, 11)) == runs_of((8, 9, 10)) == set()


def reader(phones):
    anything = SimpleNamespace(probabilities=lambda evidence: np.arange(len(evidence)) >= FIRST_WORD)
    attacks = {(name, n): anything for name in (SUM, CLIPPED) for n in (1, 2)}
    return SentenceReader(SHAPE, flatten(WEIGHTS), attacks, phones)


def test_the_sums_of_the_first_phones_are_read_and_told_beside_others():
    own = reader(phones=4)
    assert [own.wants(n, at) for n, at in ((1, 3), (1, 4), (2, 1), (2, 2), (8, 0), (64, 0))] == [
        *(True, False, True, False, False, False)
    ]
    rng = np.random.default_rng(0)
    for _ in range(2):
        own.read(SUM, 1, rng.normal(size=SHAPE.num_weights))
    named = own.named[SUM, 1, AFTER]
    messages = [tuple(named[0][0]), tuple(named[1][0])]
    assert messages[0] != messages[1] and set(own.named) == {(SUM, 1, BEFORE), (SUM, 1, AFTER)}
    own.named[SUM, 1, AFTER] = [[(8, 9, 10, 11)], [(12, 13, 14, 15, 16)]]
    written = [Written.of([(True, (8, 9, 10, 11))]), Written.of([(True, (12, 13, 14, 15)), (True, (8,))])]
    (told,) = (one for one in own.told(written) if one.led_by == AFTER)
    assert told.runs.mean == 1 and told.precision.mean == pytest.approx((1 + 1 / 2) / 2)
    assert told.whole.mean == pytest.approx(1 / 2) and told.overlap.mean == pytest.approx((1 + 8 / 9) / 2)
    assert told.runs_by_chance.mean == told.whole_by_chance.mean == told.precision_by_chance.mean == 0
