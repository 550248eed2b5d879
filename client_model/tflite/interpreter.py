"""An exported file in the interpreter that phones have; TensorFlow is not needed here."""

import numpy as np
from ai_edge_litert.interpreter import Interpreter
from numpy.typing import NDArray

from client_model.learning.language_model import ModelShape
from client_model.quiet import native_messages_aside


def open_interpreter(file: bytes) -> Interpreter:
    """One thread, its greetings kept off the terminal."""
    with native_messages_aside():
        interpreter = Interpreter(model_content=file, num_threads=1)
        interpreter.allocate_tensors()
    return interpreter


class FileSteps:
    """A file's `step` (or `infer`), from token to token."""

    def __init__(self, interpreter: Interpreter, shape: ModelShape) -> None:
        name = "step" if "step" in interpreter.get_signature_list() else "infer"
        self._run, self._shape = interpreter.get_signature_runner(name), shape
        with native_messages_aside():
            self.read(np.zeros(1, np.int32))

    def read(self, inputs: NDArray[np.int32]) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
        """(logits [length, V], suggestions [length, 3]) after each token of a message."""
        state = {
            "hidden": np.zeros((1, self._shape.recurrent_size), np.float32),
            "cell": np.zeros((1, self._shape.units), np.float32),
        }
        logits, ids = [], []
        for token in inputs:
            found = self._run(token=np.array([token], np.int32), **state)
            state = {"hidden": found["hidden_out"], "cell": found["cell_out"]}
            logits.append(found["logits"][0])
            ids.append(found["ids"][0])
        return np.stack(logits), np.stack(ids)
