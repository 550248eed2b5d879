"""A small exported model for tests of what shows it: random weights, real words, all that a run's export has inside."""

import numpy as np
import pytest

from client_model.config import ModelConfig
from client_model.learning.language_model import model_shape
from client_model.text.vocabulary import BOS, EOS, FIRST_WORD, PUNCTUATION, SPECIAL_TOKENS, Vocabulary
from client_model.tflite import compensated_rounding
from client_model.tflite.export_checks import CheckText
from client_model.tflite.export_tflite import TARGETS, Target, export_model
from simulation.config import RunConfig
from simulation.device.model_card import associated_files, model_card
from tests.client_model.learning.test_local_training import some_weights
from tests.simulation.device.test_model_card import METRICS, PRIVACY, SUMMARY

_WORDS = """
i you the to see at be there will in don't it's where are is we meet station home train later told top today tomorrow
what when they them then think thank thanks done doing damn hello help caf\N{LATIN SMALL LETTER E WITH ACUTE} noon
call me well good morning night
"""
WORDS = _WORDS.split()
VOCABULARY = Vocabulary((*SPECIAL_TOKENS, *PUNCTUATION, *WORDS, *(f"word{number}" for number in range(120))))

_MODEL = ModelConfig(vocabulary_size=len(VOCABULARY), embedding_size=16, units=32, sequence_length=8)
SHAPE = model_shape(_MODEL, len(VOCABULARY))


def export_small_model(root, seed, kinds, shape=SHAPE):
    """Write root/model with these kinds of files."""
    weights = some_weights(shape, seed=seed)
    weights[-1][FIRST_WORD : FIRST_WORD + len(WORDS)] += 1.0  # real words are commoner
    weights[-1][VOCABULARY.tokens.index(".")] += 1.45  # likelier than the third word after about half of them
    weights[-1][VOCABULARY.tokens.index("damn")] += 5.0  # and one of them is always wanted
    rng = np.random.default_rng(seed)
    streams = [np.array([BOS, *rng.integers(FIRST_WORD, len(VOCABULARY), 6), EOS], np.int32) for _ in range(10)]
    text = CheckText([(stream[:-1], stream[1:]) for stream in streams], VOCABULARY)
    card = model_card(RunConfig(), shape, SUMMARY, PRIVACY, METRICS)
    (root / "model").mkdir(parents=True)
    inside = associated_files(card, VOCABULARY.to_text(), METRICS)
    with pytest.MonkeyPatch.context() as patch:
        for kind in TARGETS:
            patch.setitem(TARGETS, kind, Target(0.0, 0.0))  # random weights are no model to hold to a bound
        patch.setattr(compensated_rounding, "_TOKENS", 400)  # nor one to be rounded as well as it can be
        export_model(root / "model", shape, weights, text, kinds, 0.0, inside)
