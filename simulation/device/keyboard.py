"""Type on an exported keyboard from Python:

from typefleet import Keyboard

keyboard = Keyboard("runs/2026-11-29-053929")
keyboard.suggest("see you")             # three words
keyboard.suggest("see you", typed="to")  # three that begin so
"""

from pathlib import Path

import numpy as np

from client_model.text.vocabulary import tokenize, vocabulary_from_text
from client_model.tflite.export_folder import FILES
from client_model.tflite.interpreter import FileSteps, open_interpreter
from client_model.tflite.reference_vectors import completions, ids_of
from simulation.device.keyboard_server import open_model


class Keyboard:
    """A run's file in 8 bits, in the interpreter that phones have.

    Args:
        run: the folder of a run.

    Raises:
        ConfigError: there is no exported file, or it has no vocabulary inside.
    """

    def __init__(self, run: Path | str) -> None:
        model = open_model(Path(run))
        self._vocabulary = vocabulary_from_text(model.vocabulary)
        self._steps = FileSteps(open_interpreter(model.files[FILES["int8"]]))

    def read(self, sentence: str) -> list[tuple[tuple[str, ...], str]]:
        """(three suggestions, the token that comes) for each token of a sentence, from its beginning."""
        _, ids = self._steps.read(np.array(ids_of(sentence, self._vocabulary), np.int32))  # [tokens + 1, 3]
        shown = [tuple(self._vocabulary.tokens[i] for i in three) for three in ids.tolist()]
        return list(zip(shown, tokenize(sentence), strict=False))  # after the last token nothing comes

    def suggest(self, text: str = "", typed: str = "") -> tuple[str, ...]:
        """The three likeliest next words, best first.

        Args:
            text: what stands before, as far as it is whole words.
            typed: letters of the next word so far; fewer than three words may begin with them.
        """
        logits, ids = self._steps.read(np.array(ids_of(text, self._vocabulary), np.int32))  # [tokens, V], [tokens, 3]
        shown = completions(logits[-1], typed.lower(), self._vocabulary) if typed else ids[-1].tolist()
        return tuple(self._vocabulary.tokens[i] for i in shown)
