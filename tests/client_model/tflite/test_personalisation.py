import numpy as np
import pytest

from client_model.config import ModelConfig
from client_model.keyed_random import generator
from client_model.learning.language_model import initial_weights, model_shape
from client_model.metrics.keystrokes import keystroke_table
from client_model.metrics.table import metric_table
from client_model.text.vocabulary import BOS, EOS, FIRST_WORD, PUNCTUATION, SPECIAL_TOKENS
from client_model.tflite.export_tflite import convert
from client_model.tflite.personalisation import FEWEST_MESSAGES, FineTuning, PersonalKeyboard, divide, personalise

V = 40
TOKENS = (*SPECIAL_TOKENS, *PUNCTUATION, *(f"{'abcdefgh'[n % 8]}{n}" for n in range(V - FIRST_WORD)))


def message(*words):
    stream = np.array([BOS, *words, EOS], np.int32)
    return stream[:-1], stream[1:]


@pytest.fixture(scope="module")
def keyboard():
    shape = model_shape(ModelConfig(vocabulary_size=V, embedding_size=8, units=12, sequence_length=6))
    file = convert(shape, initial_weights(shape, 3), ("training",), max_gradient_norm=0.0)["training"]
    return PersonalKeyboard(file, shape, keystroke_table(TOKENS), metric_table())


@pytest.mark.parametrize("count", range(FEWEST_MESSAGES, 60))
def test_every_message_is_in_one_part_and_the_newest_are_measured(count):
    parts = divide([message(FIRST_WORD + i % 9) for i in range(count)])
    assert all(parts) and sum(map(len, parts)) == count
    assert len(parts[0]) >= len(parts[2]) >= len(parts[1]) >= 1


def test_a_phone_with_a_habit_gains_and_the_next_phone_starts_anew(keyboard):
    habit = [message(9, 20, 11, -4, 30, 9, 20, 11) for _ in range(20)]  # longer than a sequence; one unknown word
    other = [message(12, 13) for _ in range(20)]
    settings = FineTuning(learning_rate=1.0, epochs=8)
    first = personalise(keyboard, habit, settings, 0, 1)
    assert first.kept and first.by_rule == first.after
    assert (
        first.after["loss-sum"] < 0.7 * first.before["loss-sum"]
        and first.after["top3-hits"] > first.before["top3-hits"]
    )
    assert first.learned_tokens == 12 * 9 and first.after["out-of-vocabulary"] == 4
    untouched = personalise(keyboard, other, FineTuning(learning_rate=1e-9), 0, 2)
    keyboard.forget()
    assert untouched.before["loss-sum"] == keyboard.measure(divide(other)[2])["loss-sum"]
    again = personalise(keyboard, habit, settings, 0, 1)
    assert again.after["loss-sum"] == first.after["loss-sum"]


def test_a_phone_that_changes_its_habit_keeps_the_model_it_had(keyboard):
    learned, later = [message(9, 20, 11, 9, 20)] * 12, [message(31, 32, 33, 34, 35)] * 8
    outcome = personalise(keyboard, learned + later, FineTuning(learning_rate=1.0, epochs=10), 0, 1)
    assert outcome.after["loss-sum"] > outcome.before["loss-sum"]  # it would have lost
    assert not outcome.kept and outcome.by_rule == outcome.before


def test_the_order_of_learning_is_the_phones(keyboard):
    messages = [message(*np.random.default_rng(i).integers(FIRST_WORD, V, 5)) for i in range(30)]
    settings, losses = FineTuning(learning_rate=0.5), []
    for phone in (1, 1, 2):
        keyboard.forget()
        keyboard.learn(messages, settings, generator(0, "x", phone))
        losses.append(keyboard.measure(messages)["loss-sum"])
    assert losses[0] == losses[1] != losses[2]
