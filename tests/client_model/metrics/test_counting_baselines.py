import numpy as np

from client_model.metrics.counting_baselines import PhonesText, measure_baselines
from client_model.metrics.keystrokes import keystroke_table
from client_model.metrics.scored_tokens import spelled_lookup
from client_model.text.vocabulary import PUNCTUATION, SPECIAL_TOKENS, Vocabulary
from tests.client_model.text.test_batches import ListPopulation

WORDS = ("ax", "ay", "az", "aw", "b")


def measure(population, words):
    population.lexicon, population.unlisted_word_letters = list(WORDS), 0
    vocabulary = Vocabulary((*SPECIAL_TOKENS, *PUNCTUATION, *words))
    spelled = spelled_lookup(vocabulary, population)
    return measure_baselines(
        PhonesText(population, spelled, np.array([0])),
        PhonesText(population, spelled, np.array([1])),
        keystroke_table(vocabulary.tokens),
        max_sequences=100,
        sequence_length=6,
    )


def test_against_counting_by_hand():
    # Training: 0 follows the start three times, 1 follows 0 twice and 2 follows 0 once.
    population = ListPopulation([[[0, 1], [0, 1], [0, 2]], [[0, 1], [2, 0], [0, 2], [3]]])
    result = measure(population, WORDS)
    # Words to predict: 0 1 2 0 0 2 3. Unigram says 0: 3 of 7; its three are 0 1 2: 6 of 7.
    assert (result.unigram_top1, result.unigram_top3) == (3 / 7, 6 / 7)
    # Bigram says 0 at a start, 1 after 0, and 0 after 2 (never seen before anything, so the unigram): right
    # at 0, 1, then 0, then 0: 4 of 7. Its three are 0 1 2 (start), 1 2 0 (after 0), 0 1 2 (after 2).
    assert (result.bigram_top1, result.bigram_top3) == (4 / 7, 6 / 7)
    # Six words are one tap instead of three; the last is never among the three that begin with "a".
    assert result.unigram_keystroke_savings == 1 - (6 * 1 + 3) / (7 * 3)
    assert result.training_phones == 1


def test_without_in_vocabulary_words_is_null():
    population = ListPopulation([[[0]], [[3, 4]]])  # the held-out phone writes unknown words only
    result = measure(population, WORDS[:1])
    assert result.unigram_top1 is result.bigram_top1 is result.unigram_top3 is None
    assert result.unigram_keystroke_savings == 0.0  # everything is typed in full
