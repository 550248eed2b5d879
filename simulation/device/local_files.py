"""Model files run by the process that serves the page, for browsers without a runtime of their own."""

import math
import threading
from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from client_model.tflite.tried_file import Signature, Signatures, Tensor
from typefleet.errors import ConfigError, expected

_DTYPES: dict[str, Any] = {"int32": np.int32, "float32": np.float32}


class HasFiles(Protocol):
    """A model with its files."""

    @property
    def files(self) -> dict[str, bytes]:
        """The content of each, by name."""

    @property
    def signatures(self) -> dict[str, Signatures]:
        """What each file can be called with, by its name."""


class LocalFiles:
    """Runs signatures of files, one at a time.

    Args:
        models: may change; a file of one is opened when it is first asked for.
    """

    def __init__(self, models: Sequence[HasFiles]) -> None:
        self._models, self._lock = models, threading.Lock()
        self._opened: dict[tuple[int, str], Any] = {}

    def signature(self, place: str, file: str, name: str) -> Signature | None:
        """What can be called under these names; None: nothing."""
        if not self.has(place, file):
            return None
        return self._models[int(place)].signatures[file].by_name.get(name)

    def has(self, place: str, file: str) -> bool:
        """Whether there is such a file of a model at this place."""
        known = place in map(str, range(len(self._models)))
        return known and file in self._models[int(place)].signatures

    def run(self, place: str, file: str, name: str, inputs: Any) -> dict[str, Any]:
        """Run a signature.

        Args:
            place, file: which model, which of its files; there are such.
            name: of a signature that the file has.
            inputs: by name {shape, dtype, data}.

        Returns:
            Outputs of the same form.

        Raises:
            ConfigError: the inputs are not what it takes.
        """
        signature = self._models[int(place)].signatures[file].by_name[name]
        arrays = arrays_of(inputs, signature)
        with self._lock:
            try:
                found = self._open(int(place), file).get_signature_runner(name)(**arrays)
            except (RuntimeError, ValueError) as error:  # of the interpreter, as of a token that there is none of
                raise ConfigError(expected("inputs", "tokens and lengths that the model knows", "others")) from error
        return {
            name: {"shape": list(value.shape), "dtype": str(value.dtype), "data": value.ravel().tolist()}
            for name, value in found.items()
        }

    def reset(self, place: str, file: str) -> None:
        """Forget what a file has learned."""
        with self._lock:
            self._opened.pop((int(place), file), None)

    def _open(self, place: int, file: str) -> Any:
        from client_model.tflite.interpreter import open_interpreter  # takes a second; a page with LiteRT.js needs none

        if (place, file) not in self._opened:
            self._opened[place, file] = open_interpreter(self._models[place].files[file])
        return self._opened[place, file]


def arrays_of(inputs: Any, signature: Signature) -> dict[str, NDArray[Any]]:
    """Inputs of a request as a signature takes them.

    Raises:
        ConfigError: other names, shapes, types or values.
    """
    if not isinstance(inputs, dict) or inputs.keys() != signature.inputs.keys():
        raise ConfigError(expected("inputs", f"{', '.join(signature.inputs)}", "others"))
    return {name: _array_of(name, inputs[name], tensor) for name, tensor in signature.inputs.items()}


def _array_of(name: str, given: Any, tensor: Tensor) -> NDArray[Any]:
    wanted = f"{tensor.dtype} of shape {list(tensor.shape)}"
    if not isinstance(given, dict) or not isinstance(given.get("data"), list):
        raise ConfigError(expected(f"inputs: {name}", wanted, "no data"))
    data = given["data"]
    if (given.get("dtype"), given.get("shape")) != (tensor.dtype, list(tensor.shape)):
        raise ConfigError(expected(f"inputs: {name}", wanted, "another type or shape"))
    kinds = (int,) if tensor.dtype == "int32" else (int, float)
    if len(data) != math.prod(tensor.shape) or not all(type(value) in kinds for value in data):
        raise ConfigError(expected(f"inputs: {name}", wanted, "other values"))
    largest = 2**31 - 1 if tensor.dtype == "int32" else float(np.finfo(np.float32).max)
    if any(not -largest <= value <= largest for value in data):
        raise ConfigError(expected(f"inputs: {name}", wanted, "a number that is too large"))
    return np.array(data, _DTYPES[tensor.dtype]).reshape(tensor.shape)
