"""What an exported file is held to, in the interpreter that phones have: its suggestions, and its learning."""

import json
import subprocess
import sys
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from client_model.learning.language_model import ModelShape, Weights, flatten, unflatten
from client_model.learning.trainers import make_trainer
from client_model.metrics.keystrokes import KeystrokeTable, keystroke_table, shown_first
from client_model.metrics.scored_tokens import scored_message
from client_model.metrics.table import MetricTable, metric_table, sum_counts
from client_model.text.batches import PackedBatches, pack
from client_model.text.vocabulary import EOS, OOV, Vocabulary
from client_model.tflite import file_probe
from client_model.tflite.interpreter import FileSteps, open_interpreter
from client_model.tflite.keyboard_modules import TRAINING_BATCH
from client_model.tflite.reference_model import ReferenceModel
from typefleet.errors import MachineError

_LOSS_TOLERANCE, _WEIGHT_TOLERANCE = 1e-5, 1e-4
_TRAINING_STEPS, _TRAINING_RATE = 3, 0.5
_PROBE_TIMEOUT_S = 120
SAVE_REQUEST = np.ones(1, np.int32)


class ExportError(MachineError):
    """The exported file cannot be trusted; nothing was replaced."""


@dataclass(frozen=True)
class CheckText:
    """Held-out text that files are checked on."""

    messages: list[tuple[NDArray[np.int32], NDArray[np.int32]]]
    """(inputs, targets) of each, starting with <bos>; a word of n letters outside the vocabulary is -n."""
    vocabulary: Vocabulary
    metrics: MetricTable = field(default_factory=metric_table)
    """To measure the files by."""

    @cached_property
    def table(self) -> KeystrokeTable:
        """Of the vocabulary."""
        return keystroke_table(self.vocabulary.tokens)

    @property
    def inputs(self) -> list[NDArray[np.int32]]:
        """Ids that the model reads, message by message."""
        return [np.where(inputs < 0, OOV, inputs) for inputs, _ in self.messages]

    @cached_property
    def new_contexts(self) -> NDArray[np.bool_]:
        """bool [positions]: what was read up to here was not read before, in a message above."""
        seen: set[bytes] = set()
        return np.array([_is_new(seen, ids[:end]) for ids in self.inputs for end in range(1, len(ids) + 1)], bool)

    @cached_property
    def new_messages(self) -> NDArray[np.bool_]:
        """bool [messages]: none above is the same."""
        seen: set[bytes] = set()
        return np.array([_is_new(seen, ids) for ids in self.inputs], bool)


def _is_new(seen: set[bytes], ids: NDArray[np.int32]) -> bool:
    before = len(seen)
    seen.add(ids.tobytes())
    return len(seen) > before


class DisagreementError(ExportError):
    """A file's suggestions are not those of the trained weights."""

    def __init__(self, kind: str, text: str) -> None:
        super().__init__(f"{kind}: {text}")
        self.kind = kind


class Suggested(NamedTuple):
    """What a model suggests at every position of a text."""

    shown: NDArray[np.int64]  # [positions, 3], ids
    after_messages: NDArray[np.int64]  # [messages], id of the first word after the whole message
    values: dict[str, Any]  # metrics by name


class Agreement(NamedTuple):
    """Shares of the different contexts in which a file suggests what the trained weights suggest.

    A context that comes again counts once: nothing is before the first word of any message, and were it counted each
    time, two words that happen to be as likely there as each other would decide a seventh of the whole.
    """

    first: float  # the same first word; whole messages count twice, the second time for `score`
    three: float  # the same three words, in any order
    contexts: int


def reference_suggestions(shape: ModelShape, weights: Weights, text: CheckText) -> Suggested:
    """What the trained weights suggest."""
    model, shown, counts = ReferenceModel(shape, weights), [], []
    for inputs, (_, targets) in zip(text.inputs, text.messages, strict=True):
        logits = model.logits(inputs)
        shown.append(shown_first(logits))
        counts.append(text.metrics.count(scored_message(text.table, logits, targets)))
    values = text.metrics.values(sum_counts(counts))
    return Suggested(np.concatenate(shown), np.array([ids[-1, 0] for ids in shown]), values)


def file_suggestions(file: bytes, shape: ModelShape, text: CheckText) -> Suggested:
    """What a file suggests: by `step` or `infer` at every position, by `score`, where it has it, after messages."""
    interpreter = open_interpreter(file)
    steps, shown, after_messages, counts = FileSteps(interpreter), [], [], []
    score = interpreter.get_signature_runner("score") if "score" in interpreter.get_signature_list() else None
    for inputs, (_, targets) in zip(text.inputs, text.messages, strict=True):
        logits, ids = steps.read(inputs)
        shown.append(ids.astype(np.int64))
        counts.append(text.metrics.count(scored_message(text.table, logits, targets)))
        if score is not None:
            padded = np.zeros((1, shape.sequence_length), np.int32)
            padded[0, : len(inputs)] = inputs
            ids = score(tokens=padded, length=np.array([len(inputs)], np.int32))["ids"]
        after_messages.append(int(ids[-1, 0]))
    return Suggested(np.concatenate(shown), np.array(after_messages), text.metrics.values(sum_counts(counts)))


def agreement(found: Suggested, expected: Suggested, text: CheckText) -> Agreement:
    """How often two models suggest the same on a text."""
    new, ends = text.new_contexts, text.new_messages
    same_end = (found.after_messages == expected.after_messages)[ends]
    first = np.append((found.shown[:, 0] == expected.shown[:, 0])[new], same_end)
    three = (np.sort(found.shown, 1) == np.sort(expected.shown, 1)).all(1)[new]
    return Agreement(float(first.mean()), float(three.mean()), len(three))


class DeviceCost(NamedTuple):
    """What a file takes to run; see `file_probe`."""

    median_ms: float
    p95_ms: float
    memory_bytes: int | None
    train_step_ms: float | None


def measure_cost(path: Path) -> DeviceCost:
    """Measure a file in a process of its own.

    Raises:
        ExportError: that process failed, or took minutes.
    """
    command = [sys.executable, "-P", file_probe.__file__, str(path)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_PROBE_TIMEOUT_S, check=False)
    except subprocess.TimeoutExpired as error:
        raise ExportError(f"{path.name}: expected it to run within {_PROBE_TIMEOUT_S} s, found it running") from error
    if done.returncode:
        last = (done.stderr.strip() or f"exit code {done.returncode}").splitlines()[-1]
        raise ExportError(f"{path.name}: expected it to run in an interpreter of its own, found {last[:200]}")
    return DeviceCost(**json.loads(done.stdout))


def check_training(
    file: bytes, shape: ModelShape, weights: Weights, sentences: list[NDArray[np.int32]], max_gradient_norm: float
) -> None:
    """Hold a file that learns to the local training of a simulated phone, and its weights to a round trip.

    Raises:
        ExportError: a loss differs by more than 1e-5 of itself, a weight by more than 1e-4, or a weight does
            not come back as it was saved.
    """
    inputs, targets, batches = _training_batch(shape, sentences)
    interpreter = open_interpreter(file)
    train, save = interpreter.get_signature_runner("train"), interpreter.get_signature_runner("save")
    trainer, trained = make_trainer(shape, max_gradient_norm), flatten(weights)
    rate = np.array([_TRAINING_RATE], np.float32)
    for _ in range(_TRAINING_STEPS):
        found = float(train(inputs=inputs, targets=targets, learning_rate=rate)["loss"][0])
        result = trainer.train(trainer.load(unflatten(trained, shape)), batches, _TRAINING_RATE)
        expected = result.loss_sum / result.num_tokens
        if abs(found - expected) > _LOSS_TOLERANCE * abs(expected):
            raise ExportError(f"training: expected a loss of {expected:.6f} as in local training, found {found:.6f}")
        trained = trained + result.update
    off = float(np.abs(_flat(save(request=SAVE_REQUEST), shape) - trained).max())
    if off > _WEIGHT_TOLERANCE:
        raise ExportError(f"training: expected weights within {_WEIGHT_TOLERANCE} of local training, found {off:.2g}")
    restore = interpreter.get_signature_runner("restore")
    restore(**dict(zip(shape.weight_shapes(), weights, strict=True)))
    if not np.array_equal(_flat(save(request=SAVE_REQUEST), shape), flatten(weights)):
        raise ExportError("training: expected restored weights to be saved as they were, found others")


def _flat(saved: dict[str, NDArray[np.float32]], shape: ModelShape) -> NDArray[np.float32]:
    return flatten([saved[name] for name in shape.weight_shapes()])


def padded_batch(
    shape: ModelShape, rows: list[tuple[NDArray[np.int32], NDArray[np.int32]]]
) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """(inputs, targets) [B, T] as `train` takes them, from at most B sequences of at most T pairs."""
    inputs = np.zeros((TRAINING_BATCH, shape.sequence_length), np.int32)
    targets = np.zeros_like(inputs)
    for number, (row, target) in enumerate(rows):
        inputs[number, : len(row)], targets[number, : len(row)] = row, target
    return inputs, targets


def _training_batch(
    shape: ModelShape, sentences: list[NDArray[np.int32]]
) -> tuple[NDArray[np.int32], NDArray[np.int32], PackedBatches]:
    """The same sentences as padded arrays [B, T] and as packed batches."""
    rows = [sentence[: shape.sequence_length] for sentence in sentences[:TRAINING_BATCH]]
    following = [np.append(row[1:], EOS).astype(np.int32) for row in rows]
    inputs, targets = padded_batch(shape, list(zip(rows, following, strict=True)))
    lengths = np.array([len(row) for row in rows], np.int64)
    packed = pack(
        np.concatenate(rows).astype(np.int32),
        np.concatenate(following),
        lengths,
        order=np.arange(len(rows)),
        batch=np.zeros(len(rows), np.int64),
        sequence_length=shape.sequence_length,
    )
    return inputs, targets, packed
