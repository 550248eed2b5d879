"""Type on an exported keyboard from Python:

from typefleet import Keyboard

keyboard = Keyboard("runs/2026-11-29-053929")
keyboard.suggest("see you")             # three words
keyboard.suggest("see you", typed="to")  # three that begin so

With additions it suggests as an app would show it ("What the keyboard adds" in docs/device.md):

keyboard = Keyboard("runs/2026-11-29-053929", additions=True)
keyboard.remember("see you at the pool")  # a message that was sent: its words count from now on
keyboard.suggest("see you at the")
keyboard.mark("see you")                  # a punctuation mark to offer, or None
"""

from collections.abc import Collection, Sequence
from pathlib import Path

import numpy as np

from client_model.suggestions.personal_words import PersonalWords
from client_model.suggestions.strip import Strip, shown
from client_model.text.vocabulary import tokenize, tokens_as_written, vocabulary_from_text
from client_model.tflite.export_folder import FILES
from client_model.tflite.interpreter import FileSteps, open_interpreter
from client_model.tflite.reference_vectors import completions, ids_of
from simulation.device.keyboard_server import blocked_words, open_model


class Keyboard:
    """A run's file in 8 bits, in the interpreter that phones have.

    Args:
        run: the folder of a run.
        additions: suggest with what a keyboard adds; without, what the file says by itself.
        blocked: words that are never suggested, with additions; by default those of the page's list, as an app's would.

    Raises:
        ConfigError: there is no exported file, or it has no vocabulary inside.
    """

    def __init__(self, run: Path | str, additions: bool = False, blocked: Collection[str] | None = None) -> None:
        model = open_model(Path(run))
        self._vocabulary = vocabulary_from_text(model.vocabulary)
        self._steps = FileSteps(open_interpreter(model.files[FILES["int8"]]))
        never = blocked_words() if blocked is None else blocked
        self._strip = Strip(self._vocabulary, never) if additions else None
        self._personal = PersonalWords()

    def read(self, sentence: str) -> list[tuple[tuple[str, ...], str]]:
        """(three suggestions in lower case, the token that comes) for each token of a sentence, from its beginning."""
        logits, ids = self._steps.read(np.array(ids_of(sentence, self._vocabulary), np.int32))  # [n + 1, V], [n + 1, 3]
        tokens = tokenize(sentence)
        if self._strip is None:
            offered = [tuple(self._vocabulary.tokens[i] for i in three) for three in ids.tolist()]
        else:
            offered = [
                tuple(self._strip.words(row, tokens[:place], personal=self._personal))
                for place, row in enumerate(logits)
            ]
        return list(zip(offered, tokens, strict=False))  # after the last token nothing comes

    def shown(self, words: Sequence[str], before: Sequence[str]) -> list[str]:
        """Suggestions of `read` as they are shown after some tokens: with additions, with their capitals."""
        if self._strip is None:
            return list(words)
        return [shown(word, before, written=self._personal.form(word)) for word in words]

    def mark(self, text: str) -> str | None:
        """The punctuation mark to offer beside the words, if one is likelier than the third of them."""
        logits, _ = self._steps.read(np.array(ids_of(text, self._vocabulary), np.int32))
        return (self._strip or Strip(self._vocabulary)).mark(logits[-1], tokenize(text))

    def remember(self, message: str) -> None:
        """A message was sent: with additions, its words count in what is suggested from now on."""
        self._personal.remember(tokenize(message), tokens_as_written(message))

    def forget(self) -> None:
        """Forget the words of all messages."""
        self._personal.forget()

    def suggest(self, text: str = "", typed: str = "") -> tuple[str, ...]:
        """The three likeliest next words, best first.

        Args:
            text: the whole words before: of `see yo`, whose last word is still being typed, `see`.
            typed: letters of the next word so far, here `yo`. Fewer than three words may begin with them; with
                additions words follow that nearly do, and last the letters themselves in quotation marks, three in all.
        """
        logits, ids = self._steps.read(np.array(ids_of(text, self._vocabulary), np.int32))  # [tokens, V], [tokens, 3]
        if self._strip is not None:
            return tuple(self._strip.offered(logits[-1], tokenize(text), typed, self._personal))
        best = completions(logits[-1], typed.lower(), self._vocabulary) if typed else ids[-1].tolist()
        return tuple(self._vocabulary.tokens[i] for i in best)
