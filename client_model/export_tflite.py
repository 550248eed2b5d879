"""The file a phone runs: TFLite with two signatures, and the proof that it suggests the same words.

Signatures (batch 1, builtin operators only):

    step:   token int32 [1], hidden float32 [1, D or U], cell float32 [1, U]
            -> ids int32 [1, 3], probabilities float32 [1, 3], hidden_out, cell_out
            what a keyboard calls once a word; start from zeros and <bos>
    score:  tokens int32 [1, T], length int32 [1] -> ids int32 [1, 3], probabilities float32 [1, 3]
            suggestions after the first `length` tokens of a sentence

The probabilities are over the whole vocabulary; special tokens and punctuation are never suggested.

Two files are written: float32, and int8 dynamic range (weights in 8 bits, activations in float).
Both are run in the ai-edge-litert interpreter on held-out text before they replace anything: an
export that disagrees with the trained weights, or needs an operator that phones lack, fails.
"""

import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter
from numpy.typing import NDArray

from client_model.language_model import ModelShape, Weights
from client_model.quiet import native_messages_aside
from client_model.vocabulary import FIRST_WORD

SUGGESTIONS = 3
FILES = {"float32": "keyboard_fp32.tflite", "int8": "keyboard.tflite"}
MINIMUM_AGREEMENT = {"float32": 0.999, "int8": 0.95}


class ExportError(RuntimeError):
    """The exported file cannot be trusted; nothing was replaced."""


@dataclass(frozen=True)
class ExportedFile:
    """One exported file and how it did."""

    kind: str
    path: Path
    size_bytes: int
    top1_agreement: float
    positions: int


class KeyboardModule(tf.Module):
    """The network with its time loop unrolled, as the converter wants it."""

    def __init__(self, shape: ModelShape, weights: Weights) -> None:
        super().__init__()
        self.shape = shape
        names = shape.weight_shapes()
        self.weights = {n: tf.constant(w, name=n) for n, w in zip(names, weights, strict=True)}
        self.recurrent_size = weights[2].shape[0]
        state = [
            tf.TensorSpec([1, self.recurrent_size], tf.float32, "hidden"),
            tf.TensorSpec([1, shape.units], tf.float32, "cell"),
        ]
        self.step = tf.function(
            self._step, input_signature=[tf.TensorSpec([1], tf.int32, "token"), *state], autograph=False
        )
        self.score = tf.function(
            self._score,
            input_signature=[
                tf.TensorSpec([1, shape.sequence_length], tf.int32, "tokens"),
                tf.TensorSpec([1], tf.int32, "length"),
            ],
            autograph=False,
        )

    def _cell(self, token: Any, hidden: Any, cell: Any) -> tuple[Any, Any, Any]:
        """(output [1, D], recurrent state, cell [1, U]) after one token."""
        w, u = self.weights, self.shape.units
        x = tf.gather(w["embedding"], token)  # [1, D]
        z = tf.matmul(x, w["input_kernel"]) + tf.matmul(hidden, w["recurrent_kernel"]) + w["gate_bias"]  # [1, G U]
        gates = [z[:, i * u : (i + 1) * u] for i in range(self.shape.num_gates)]  # [1, U] each
        if self.shape.cell == "cifg":
            forget, output, candidate = tf.sigmoid(gates[0]), tf.sigmoid(gates[1]), tf.tanh(gates[2])
            cell = forget * cell + (1.0 - forget) * candidate
        else:
            take, forget, output = (tf.sigmoid(g) for g in gates[:3])
            cell = forget * cell + take * tf.tanh(gates[3])
        units = output * tf.tanh(cell)  # [1, U]
        projected = tf.matmul(units, w["projection"])  # [1, D]
        return projected, projected if self.shape.cell == "cifg" else units, cell

    def _suggest(self, output: Any) -> tuple[Any, Any]:
        logits = tf.matmul(output, self.weights["embedding"], transpose_b=True) + self.weights["output_bias"]
        words = tf.nn.softmax(logits)[:, FIRST_WORD:]  # [1, V - FIRST_WORD]
        probabilities, ids = tf.math.top_k(words, k=SUGGESTIONS)
        return ids + FIRST_WORD, probabilities

    def _step(self, token: Any, hidden: Any, cell: Any) -> dict[str, Any]:
        output, hidden, cell = self._cell(token, hidden, cell)
        ids, probabilities = self._suggest(output)
        return {"ids": ids, "probabilities": probabilities, "hidden_out": hidden, "cell_out": cell}

    def _score(self, tokens: Any, length: Any) -> dict[str, Any]:
        hidden, cell = tf.zeros([1, self.recurrent_size]), tf.zeros([1, self.shape.units])
        outputs = []
        for token in tf.unstack(tokens, axis=1):
            output, hidden, cell = self._cell(token, hidden, cell)
            outputs.append(output)
        last = tf.gather(tf.concat(outputs, 0), length - 1)  # [1, D], before the one vocabulary product
        ids, probabilities = self._suggest(last)
        return {"ids": ids, "probabilities": probabilities}


def convert(shape: ModelShape, weights: Weights, kinds: tuple[str, ...] = ("float32", "int8")) -> dict[str, bytes]:
    """TFLite files by kind.

    Raises:
        ExportError: a file needs an operator outside the builtin set.
    """
    module = KeyboardModule(shape, weights)
    files: dict[str, bytes] = {}
    with tempfile.TemporaryDirectory() as folder:
        tf.saved_model.save(module, folder, signatures={"step": module.step, "score": module.score})
        for kind in kinds:
            converter = tf.lite.TFLiteConverter.from_saved_model(folder, signature_keys=["step", "score"])
            converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
            if kind == "int8":
                converter.optimizations = [tf.lite.Optimize.DEFAULT]
            files[kind] = converter.convert()
            _require_builtin_operators(files[kind], kind)
    return files


def _require_builtin_operators(file: bytes, kind: str) -> None:
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(file, 0))
    custom = [code.customCode.decode() for code in model.operatorCodes if code.customCode]
    if custom:
        raise ExportError(f"{kind}: expected builtin operators only, found {', '.join(custom)}")


def reference_step(
    shape: ModelShape, weights: Weights, token: int, hidden: NDArray, cell: NDArray
) -> tuple[NDArray, NDArray, NDArray]:
    """(logits [V], hidden, cell [U]) after one token, in plain numpy; what the files are held to."""
    embedding, input_kernel, recurrent, bias, projection, output_bias = weights

    def sigmoid(x: NDArray) -> NDArray:
        return 1 / (1 + np.exp(-x))

    gates = np.split(embedding[token] @ input_kernel + hidden @ recurrent + bias, shape.num_gates)
    if shape.cell == "cifg":
        forget, output, candidate = sigmoid(gates[0]), sigmoid(gates[1]), np.tanh(gates[2])
        cell = forget * cell + (1 - forget) * candidate
    else:
        forget, output = sigmoid(gates[1]), sigmoid(gates[2])
        cell = forget * cell + sigmoid(gates[0]) * np.tanh(gates[3])
    units = output * np.tanh(cell)
    projected = units @ projection
    return projected @ embedding.T + output_bias, projected if shape.cell == "cifg" else units, cell


def top1_agreement(
    file: bytes, shape: ModelShape, weights: Weights, sentences: list[NDArray[np.int32]]
) -> tuple[float, int]:
    """(share of positions where the file's first suggestion is the trained weights', positions).

    Each sentence starts with <bos>. Every position goes through `step`; the end of each sentence
    also through `score`.
    """
    with native_messages_aside():
        interpreter = Interpreter(model_content=file, num_threads=1)
        step, score = interpreter.get_signature_runner("step"), interpreter.get_signature_runner("score")
        zero_state = {"hidden": np.zeros((1, weights[2].shape[0]), np.float32)}
        step(token=np.zeros(1, np.int32), cell=np.zeros((1, shape.units), np.float32), **zero_state)
    agreed = positions = 0
    for sentence in sentences:
        sentence = sentence[: shape.sequence_length]
        hidden, cell = np.zeros(weights[2].shape[0], np.float32), np.zeros(shape.units, np.float32)
        file_hidden, file_cell = hidden[None], cell[None]
        expected = -1
        for token in sentence:
            logits, hidden, cell = reference_step(shape, weights, int(token), hidden, cell)
            expected = FIRST_WORD + int(logits[FIRST_WORD:].argmax())
            found = step(token=np.array([token], np.int32), hidden=file_hidden, cell=file_cell)
            file_hidden, file_cell = found["hidden_out"], found["cell_out"]
            agreed += int(found["ids"][0, 0]) == expected
            positions += 1
        padded = np.zeros((1, shape.sequence_length), np.int32)
        padded[0, : len(sentence)] = sentence
        whole = score(tokens=padded, length=np.array([len(sentence)], np.int32))
        agreed += int(whole["ids"][0, 0]) == expected
        positions += 1
    return agreed / max(positions, 1), positions


def export_model(
    folder: Path, shape: ModelShape, weights: Weights, sentences: list[NDArray[np.int32]]
) -> list[ExportedFile]:
    """Write both files into `folder` once both have passed.

    Raises:
        ExportError: a file fails its check; files already in the folder stay as they are.
    """
    if not sentences:
        raise ExportError("expected held-out text to check the files on, found none")
    exported: list[ExportedFile] = []
    files = convert(shape, weights)
    for kind, file in files.items():
        agreement, positions = top1_agreement(file, shape, weights, sentences)
        if agreement < MINIMUM_AGREEMENT[kind]:
            raise ExportError(
                f"{kind}: expected top-1 agreement >= {MINIMUM_AGREEMENT[kind]:.1%} with the trained weights "
                f"on {positions} positions, found {agreement:.2%}"
            )
        exported.append(ExportedFile(kind, folder / FILES[kind], len(file), agreement, positions))
    with tempfile.TemporaryDirectory(dir=folder, prefix=".export-") as draft:
        for item in exported:
            (Path(draft) / item.path.name).write_bytes(files[item.kind])
        for item in exported:
            shutil.move(Path(draft) / item.path.name, item.path)
    return exported
