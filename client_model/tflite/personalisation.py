"""Personalisation: what a phone gains when the model goes on learning on it, and never leaves it.

A phone's messages, oldest first, are divided in three:

    learned    the first 60 %: fine-tuned on, with the exported training file, as the phone would
    checked    the next 20 %: decides whether the personal model is kept
    newer      the last 20 %: measured on, before and after; neither of the other two sees it

The rule: keep the personal model if the mean cross-entropy of the checked messages has fallen. It needs
nothing but the phone's own text, and its cost is one pass over a few messages. (Wang et al., "Federated
evaluation of on-device personalization", arXiv:1910.10252, likewise divide each phone's own text.)
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from client_model.config import FineTuning
from client_model.keyed_random import generator
from client_model.learning.language_model import ModelShape
from client_model.metrics.keystrokes import KeystrokeTable
from client_model.metrics.metric import Counts
from client_model.metrics.scored_tokens import scored_message
from client_model.metrics.table import MetricTable, sum_counts
from client_model.text.vocabulary import OOV
from client_model.tflite.export_checks import SAVE_REQUEST, padded_batch
from client_model.tflite.interpreter import FileSteps, open_interpreter, running
from client_model.tflite.keyboard_modules import TRAINING_BATCH

Messages = list[tuple[NDArray[np.int32], NDArray[np.int32]]]  # (inputs, targets); unknown words are negative

LEARNED_SHARE, CHECKED_SHARE = 0.6, 0.2
FEWEST_MESSAGES = 5  # one to check on, one to measure on


class PersonalOutcome(NamedTuple):
    """One phone, before and after."""

    learned_tokens: int
    checked_before: Counts
    checked_after: Counts
    before: Counts
    after: Counts

    @property
    def kept(self) -> bool:
        """What the rule says."""
        return bool(self.checked_after["loss-sum"] < self.checked_before["loss-sum"])

    @property
    def by_rule(self) -> Counts:
        """How the model that the rule leaves on the phone does on the newer messages."""
        return self.after if self.kept else self.before


def divide(messages: Messages) -> tuple[Messages, Messages, Messages]:
    """(learned, checked, newer) of at least FEWEST_MESSAGES messages."""
    first = int(len(messages) * LEARNED_SHARE)
    second = first + max(int(len(messages) * CHECKED_SHARE), 1)
    return messages[:first], messages[first:second], messages[second:]


class PersonalKeyboard:
    """A phone's keyboard that learns: the exported training file in the interpreter."""

    def __init__(self, file: bytes, shape: ModelShape, table: KeystrokeTable, metrics: MetricTable) -> None:
        """Open the file.

        Args:
            file: the training file.
            shape: of its model.
            table: of its vocabulary.
            metrics: to measure by; the built-in ones among them, by which it is decided what is kept.
        """
        interpreter = open_interpreter(file)
        self._shape, self._table, self._metrics = shape, table, metrics
        self._train, self._restore = (interpreter.get_signature_runner(name) for name in ("train", "restore"))
        self._steps = FileSteps(interpreter)
        saved = interpreter.get_signature_runner("save")(request=SAVE_REQUEST)
        self._delivered = {name: saved[name] for name in shape.weight_shapes()}

    def forget(self) -> None:
        """Back to the weights that the file came with."""
        self._restore(**self._delivered)

    def measure(self, messages: Messages) -> Counts:
        """How the keyboard does on some messages."""
        found = []
        for inputs, targets in messages:
            logits, _ = self._steps.read(np.where(inputs < 0, OOV, inputs))
            found.append(self._metrics.count(scored_message(self._table, logits, targets)))
        return sum_counts(found)

    def learn(self, messages: Messages, settings: FineTuning, rng: np.random.Generator) -> None:
        """Fine-tune on some messages, in a new random order in each epoch."""
        length = self._shape.sequence_length
        rows = [
            tuple(np.where(ids < 0, OOV, ids)[begin : begin + length] for ids in message)
            for message in messages
            for begin in range(0, len(message[0]), length)
        ]
        rate = np.array([settings.learning_rate], np.float32)
        for _ in range(settings.epochs):
            order = rng.permutation(len(rows))
            for begin in range(0, len(rows), TRAINING_BATCH):
                chosen = [rows[i] for i in order[begin : begin + TRAINING_BATCH]]
                inputs, targets = padded_batch(self._shape, chosen)
                with running("train"):
                    self._train(inputs=inputs, targets=targets, learning_rate=rate)


def personalise(
    keyboard: PersonalKeyboard, messages: Messages, settings: FineTuning, seed: int, phone: int
) -> PersonalOutcome:
    """Fine-tune one phone and measure it before and after.

    Args:
        keyboard: any phone's; its weights are set back first.
        messages: of the phone, oldest first, at least FEWEST_MESSAGES.
        settings: of the fine-tuning.
        seed, phone: key of the order in which messages are learned.
    """
    learned, checked, newer = divide(messages)
    keyboard.forget()
    checked_before, before = keyboard.measure(checked), keyboard.measure(newer)
    keyboard.learn(learned, settings, generator(seed, "personalisation", phone))
    tokens = sum(len(targets) for _, targets in learned)
    return PersonalOutcome(tokens, checked_before, keyboard.measure(checked), before, keyboard.measure(newer))
