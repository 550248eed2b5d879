import numpy as np

from client_model.keyboard_metrics import count_hits, measure_baselines
from client_model.vocabulary import EOS, FIRST_WORD, OOV
from tests.client_model.test_batches import LOOKUP, ListPopulation


def test_hits_count_words_only():
    targets = np.array([FIRST_WORD, FIRST_WORD + 1, 4, EOS, OOV, FIRST_WORD + 2], np.int32)
    rank = np.array([0, 2, 0, 0, 0, 3], np.int32)
    assert count_hits(targets, rank) == (6, 4, 1, 1, 2)


def test_baselines_against_counting_by_hand():
    # Training: 0 follows the start three times, 1 follows 0 twice and 2 follows 0 once.
    training = [[[0, 1], [0, 1], [0, 2]]]
    held_out = [[[0, 1], [2, 0], [0, 2]]]
    population = ListPopulation(training + held_out)
    result = measure_baselines(population, LOOKUP, np.array([0]), np.array([1]), 100, 6, 20)
    # Words to predict: 0 1 2 0 0 2. Unigram says 0: 3 of 6. Bigram says 0 at a start, 1 after 0,
    # and 0 after 2 (never seen before anything, so the unigram): right at 0, 1, then 0, then 0: 4 of 6.
    assert result.unigram_top1 == 3 / 6
    assert result.bigram_top1 == 4 / 6
    assert result.training_phones == 1


def test_baselines_without_in_vocabulary_words_are_null():
    lookup = np.full(11, OOV, np.int32)
    lookup[0] = FIRST_WORD
    population = ListPopulation([[[0]], [[5, 6]]])  # the held-out phone writes unknown words only
    result = measure_baselines(population, lookup, np.array([0]), np.array([1]), 100, 6, 20)
    assert result.unigram_top1 is None and result.bigram_top1 is None
