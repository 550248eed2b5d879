"""An exported file in the interpreter that phones have; TensorFlow is not needed here."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TypeAlias

import numpy as np
from ai_edge_litert.interpreter import Interpreter
from numpy.typing import NDArray

from client_model.quiet import native_messages_aside
from typefleet.errors import ConfigError, TypefleetError, expected

_TOKEN = "token"
FileState: TypeAlias = dict[str, NDArray[np.float32]]  # parts by name, each [1, n]


def next_name(part: str) -> str:
    """Name of the output that is the next value of a part of the state."""
    return f"{part}_out"


def open_interpreter(file: bytes) -> Interpreter:
    """One thread, its greetings kept off the terminal."""
    with native_messages_aside():
        interpreter = Interpreter(model_content=file, num_threads=1)
        interpreter.allocate_tensors()
    return interpreter


@contextmanager
def running(signature: str) -> Iterator[None]:
    """Say in one line that a file does not run on what it is given: it may be one that was changed, or of other words.

    Raises:
        ConfigError: the interpreter refused.
    """
    try:
        yield
    except (RuntimeError, ValueError) as error:
        if isinstance(error, TypefleetError):
            raise
        raise ConfigError(
            expected(f"the model file's {signature}", "it to run on tokens of its vocabulary", "a fault")
        ) from error


class FileSteps:
    """A file's `step` (or `infer`), from token to token; its state is what it takes besides the token."""

    def __init__(self, interpreter: Interpreter) -> None:
        name = "step" if "step" in interpreter.get_signature_list() else "infer"
        self._name, self._run = name, interpreter.get_signature_runner(name)
        details = self._run.get_input_details()
        self._empty = {
            part: np.zeros(detail["shape"], np.float32) for part, detail in details.items() if part != _TOKEN
        }
        with native_messages_aside():
            self.read(np.zeros(1, np.int32))

    @property
    def start(self) -> FileState:
        """The state before the first token of a message."""
        return dict(self._empty)

    def step(self, token: int, state: FileState) -> tuple[NDArray[np.float32], NDArray[np.int32], FileState]:
        """(logits [V], suggestions [3], state) after one more token.

        Args:
            token: that is read.
            state: before it; not changed.

        Raises:
            ConfigError: the file refuses the token.
        """
        with running(self._name):
            found = self._run(token=np.array([token], np.int32), **state)
        return found["logits"][0], found["ids"][0], {part: found[next_name(part)] for part in state}

    def read(self, inputs: NDArray[np.int32]) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
        """(logits [length, V], suggestions [length, 3]) after each token of a message.

        Raises:
            ConfigError: the file refuses a token, or suggests what is no token: it is not ours.
        """
        state = self.start
        logits, ids = [], []
        for token in inputs.tolist():
            scored, three, state = self.step(token, state)
            logits.append(scored)
            ids.append(three)
        scores, suggested = np.stack(logits), np.stack(ids)
        if (suggested < 0).any() or (suggested >= scores.shape[1]).any():
            raise ConfigError(expected(f"the model file's {self._name}", "suggestions of its vocabulary", "others"))
        return scores, suggested
