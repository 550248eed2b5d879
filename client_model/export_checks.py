"""What an exported file is held to, in the interpreter that phones have: its suggestions, and its learning."""

from typing import Any

import numpy as np
from ai_edge_litert.interpreter import Interpreter
from numpy.typing import NDArray

from client_model.batches import pack
from client_model.keyboard_modules import TRAINING_BATCH, recurrent_size
from client_model.language_model import ModelShape, Weights, flatten, unflatten
from client_model.local_training import LocalTrainer
from client_model.quiet import native_messages_aside
from client_model.vocabulary import EOS, FIRST_WORD

_LOSS_TOLERANCE, _WEIGHT_TOLERANCE = 1e-5, 1e-4
_TRAINING_STEPS, _TRAINING_RATE = 3, 0.5


class ExportError(RuntimeError):
    """The exported file cannot be trusted; nothing was replaced."""


def open_interpreter(file: bytes) -> Interpreter:
    """One thread, its greetings kept off the terminal."""
    with native_messages_aside():
        interpreter = Interpreter(model_content=file, num_threads=1)
        interpreter.allocate_tensors()
    return interpreter


def reference_step(
    shape: ModelShape, weights: Weights, token: int, hidden: NDArray, cell: NDArray
) -> tuple[NDArray, NDArray, NDArray]:
    """(logits [V], hidden, cell [U]) after one token, in plain numpy; what the files are held to."""
    embedding, input_kernel, recurrent, bias, projection, output_bias = weights

    def sigmoid(x: NDArray) -> NDArray:
        return 0.5 + 0.5 * np.tanh(0.5 * x)  # never overflows

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

    Each sentence starts with <bos>. Every position goes through `step` (or `infer`); the end of each
    sentence also through `score`, where the file has it.
    """
    interpreter = open_interpreter(file)
    signatures = interpreter.get_signature_list()
    step = interpreter.get_signature_runner("step" if "step" in signatures else "infer")
    score = interpreter.get_signature_runner("score") if "score" in signatures else None
    with native_messages_aside():
        step(token=np.zeros(1, np.int32), **_empty_state(shape))
    agreed = positions = 0
    for sentence in sentences:
        sentence = sentence[: shape.sequence_length]
        hidden, cell = np.zeros(recurrent_size(shape), np.float32), np.zeros(shape.units, np.float32)
        state, expected = _empty_state(shape), -1
        for token in sentence:
            logits, hidden, cell = reference_step(shape, weights, int(token), hidden, cell)
            expected = FIRST_WORD + int(logits[FIRST_WORD:].argmax())
            found = step(token=np.array([token], np.int32), **state)
            state = {"hidden": found["hidden_out"], "cell": found["cell_out"]}
            agreed += int(found["ids"][0, 0]) == expected
            positions += 1
        if score is None:
            continue
        padded = np.zeros((1, shape.sequence_length), np.int32)
        padded[0, : len(sentence)] = sentence
        whole = score(tokens=padded, length=np.array([len(sentence)], np.int32))
        agreed += int(whole["ids"][0, 0]) == expected
        positions += 1
    return agreed / max(positions, 1), positions


def _empty_state(shape: ModelShape) -> dict[str, NDArray[np.float32]]:
    return {
        "hidden": np.zeros((1, recurrent_size(shape)), np.float32),
        "cell": np.zeros((1, shape.units), np.float32),
    }


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
    trainer, trained = LocalTrainer(shape, max_gradient_norm), flatten(weights)
    rate = np.array([_TRAINING_RATE], np.float32)
    for _ in range(_TRAINING_STEPS):
        found = float(train(inputs=inputs, targets=targets, learning_rate=rate)["loss"][0])
        result = trainer.train(trainer.load(unflatten(trained, shape)), batches, _TRAINING_RATE)
        expected = result.loss_sum / result.num_tokens
        if abs(found - expected) > _LOSS_TOLERANCE * abs(expected):
            raise ExportError(f"training: expected a loss of {expected:.6f} as in local training, found {found:.6f}")
        trained = trained + result.update
    off = float(np.abs(_flat(save(), shape) - trained).max())
    if off > _WEIGHT_TOLERANCE:
        raise ExportError(f"training: expected weights within {_WEIGHT_TOLERANCE} of local training, found {off:.2g}")
    restore = interpreter.get_signature_runner("restore")
    restore(**dict(zip(shape.weight_shapes(), weights, strict=True)))
    if not np.array_equal(_flat(save(), shape), flatten(weights)):
        raise ExportError("training: expected restored weights to be saved as they were, found others")


def _flat(saved: dict[str, NDArray[np.float32]], shape: ModelShape) -> NDArray[np.float32]:
    return flatten([saved[name] for name in shape.weight_shapes()])


def _training_batch(shape: ModelShape, sentences: list[NDArray[np.int32]]) -> tuple[NDArray, NDArray, Any]:
    """The same sentences as padded arrays [B, T] and as packed batches."""
    inputs = np.zeros((TRAINING_BATCH, shape.sequence_length), np.int32)
    targets = np.zeros_like(inputs)
    rows = [sentence[: shape.sequence_length] for sentence in sentences[:TRAINING_BATCH]]
    following = [np.append(row[1:], EOS).astype(np.int32) for row in rows]
    for number, (row, target) in enumerate(zip(rows, following, strict=True)):
        inputs[number, : len(row)], targets[number, : len(row)] = row, target
    lengths = np.array([len(row) for row in rows], np.int64)
    order, batch = np.arange(len(rows)), np.zeros(len(rows), np.int64)
    flat_inputs, flat_targets = np.concatenate(rows).astype(np.int32), np.concatenate(following)
    return inputs, targets, pack(flat_inputs, flat_targets, lengths, order, batch, shape.sequence_length)
