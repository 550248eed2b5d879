"""A model file that somebody else may have made: tried in a process of its own before it is opened in this one.

A file that ends the process that opens it, never ends, or takes all memory, is refused in one line. What it can be
called with is taken from that trial, so that nothing here reads the file's own structure.
"""

import hashlib
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from client_model.learning.language_model import ModelShape
from client_model.tflite import file_trial
from client_model.tflite.interpreter import next_name
from typefleet.errors import ConfigError, expected
from typefleet.untrusted.own_json import parse_json

_TIMEOUT_S = 120
_WHAT = "a model file that the interpreter runs"
_SUGGESTED = 3
_tried: dict[str, "Signatures"] = {}  # by digest of the file: what was tried needs no second trial


@dataclass(frozen=True)
class Tensor:
    """What a signature takes or gives under a name."""

    shape: tuple[int, ...]
    dtype: str


@dataclass(frozen=True)
class Signature:
    """What a file can be called with, by name."""

    inputs: Mapping[str, Tensor]
    outputs: Mapping[str, Tensor]


@dataclass(frozen=True)
class Signatures:
    """All signatures of a file."""

    by_name: Mapping[str, Signature]

    @property
    def state_widths(self) -> dict[str, int]:
        """Widths of the parts of the recurrent state: what a step takes besides the token."""
        return {name: tensor.shape[-1] for name, tensor in self.step.inputs.items() if name != "token"}

    @property
    def vocabulary_size(self) -> int:
        """How many tokens it knows."""
        return self.step.outputs["logits"].shape[-1]

    def require_learning(self, path: Path, shape: ModelShape) -> None:
        """Refuse a file that cannot learn, or one of another model.

        Args:
            path: where the file is, for the error.
            shape: of the model that it should be of.

        Raises:
            ConfigError: it is one.
        """
        from client_model.tflite.keyboard_modules import TRAINING_BATCH  # with TensorFlow, which suggesting needs not

        weights = {name: Tensor(tuple(dims), "float32") for name, dims in shape.weight_shapes().items()}
        batch = Tensor((TRAINING_BATCH, shape.sequence_length), "int32")
        train, save, restore = (self.by_name.get(name) for name in ("train", "save", "restore"))
        if train is None or save is None or restore is None:
            raise ConfigError(expected(path, "a file that learns", "one that only suggests"))
        given = {"inputs": batch, "targets": batch, "learning_rate": Tensor((1,), "float32")}
        saves = {name: save.outputs.get(name) for name in weights}
        if (
            train.inputs != given
            or saves != weights
            or restore.inputs != weights
            or self.vocabulary_size != (shape.vocabulary_size)
        ):
            raise ConfigError(expected(path, "the model of this run", "that of another"))

    @property
    def step(self) -> Signature:
        """What suggests: `step`, or `infer` of a file that learns."""
        return self.by_name["step" if "step" in self.by_name else "infer"]


def tried_file(path: Path, file: bytes) -> Signatures:
    """The signatures of a file that suggests, found in a process of its own.

    Args:
        path: where the file is, for the error.
        file: its content.

    Raises:
        ConfigError: it does not run, or is no keyboard's.
    """
    digest = hashlib.sha256(file).hexdigest()
    if digest not in _tried:
        found = _trial(path, file)
        if (fault := _fault(found)) is not None:
            raise ConfigError(expected(path, "the model of a keyboard", fault))
        _tried[digest] = found
    return _tried[digest]


def _trial(path: Path, file: bytes) -> Signatures:
    command = [sys.executable, "-P", file_trial.__file__]
    try:
        done = subprocess.run(command, input=file, capture_output=True, timeout=_TIMEOUT_S, check=False)
    except subprocess.TimeoutExpired as error:
        raise ConfigError(expected(path, _WHAT, f"one still at work after {_TIMEOUT_S} s")) from error
    if done.returncode:
        crashed = "one that ends the process which opens it"
        raise ConfigError(expected(path, _WHAT, crashed if done.returncode < 0 else "a damaged one, or another file"))
    found = parse_json(done.stdout, path, _WHAT)
    return Signatures(
        {
            name: Signature(*({n: _tensor(t) for n, t in one[part].items()} for part in ("inputs", "outputs")))
            for name, one in found.items()
        }
    )


def _tensor(found: dict[str, Any]) -> Tensor:
    return Tensor(tuple(found["shape"]), found["dtype"])


def _fault(found: Signatures) -> str | None:
    """Why these are not the signatures of a keyboard; None: they are."""
    if not found.by_name.keys() & {"step", "infer"}:
        return "no step in it"
    step = found.step
    if step.inputs.get("token") != Tensor((1,), "int32"):
        return "a step that takes no token"
    logits = step.outputs.get("logits")
    if logits is None or logits.dtype != "float32" or len(logits.shape) != 2 or logits.shape[0] != 1:
        return "a step that gives no logits"
    if step.outputs.get("ids") != Tensor((1, _SUGGESTED), "int32"):
        return f"a step that does not suggest {_SUGGESTED} words"
    for name, tensor in step.inputs.items():
        is_state = tensor.dtype == "float32" and len(tensor.shape) == 2 and tensor.shape[0] == 1
        if name != "token" and not (is_state and step.outputs.get(next_name(name)) == tensor):
            return "a step without the state that follows"
    return None
