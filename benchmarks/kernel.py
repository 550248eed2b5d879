"""The limit and the kernel, on one thread: python -m benchmarks.kernel CELL [phone|autodiff]

Prints one JSON object: the best float32 matrix product of this core, and the tokens a second of local
training alone, on the workload's phones, on a tiny phone, and in scoring; with `phone`, only the
second, for half a minute; with `autodiff`, the cell's hand-written passes beside automatic differentiation of its step,
the two in turns.
"""

import json
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial

import numpy as np
import tensorflow as tf

from benchmarks.workload import BATCH, LEARNING_RATE, SENTENCES, TOKENS, VOCABULARY, StepOnly, flop_per_token, shape_of
from client_model.learning.language_model import ModelShape, initial_weights
from client_model.learning.local_training import LocalTrainer, limit_threads
from client_model.metrics.keystrokes import keystroke_table
from client_model.text.batches import PackedBatches, pack
from server_strategy.update_sum import FixedPointSum


def seconds(body: Callable[[], object], repeats: int) -> list[float]:
    """Times of `repeats` calls, after one that is not counted."""
    body()
    found = []
    for _ in range(repeats):
        began = time.perf_counter()
        body()
        found.append(time.perf_counter() - began)
    return found


def gemm_gflops() -> dict[str, float]:
    """The fastest square float32 product, by TensorFlow (oneDNN) and by numpy (its BLAS)."""
    rates = {"tensorflow": 0.0, "numpy": 0.0}
    product = tf.function(tf.matmul)
    for n in (1024, 2048):
        pair = [np.random.default_rng(i).random((n, n), np.float32) for i in (0, 1)]
        tensors, out = [tf.constant(x) for x in pair], np.empty((n, n), np.float32)
        of = {"tensorflow": partial(product, *tensors), "numpy": partial(np.matmul, *pair, out=out)}
        for name, body in of.items():
            rates[name] = max(rates[name], 2 * n**3 / min(seconds(body, 9)) / 1e9)
    return rates


def phone(sentences: int, tokens: int) -> PackedBatches:
    """A phone with random text."""
    rng, total = np.random.default_rng(0), sentences * tokens
    inputs, targets = (rng.integers(8, VOCABULARY, total).astype(np.int32) for _ in range(2))
    order = np.arange(sentences)
    lengths = np.full(sentences, tokens)
    return pack(inputs, targets, lengths, order=order, batch=order // BATCH, sequence_length=TOKENS)


def compare_with_autodiff(shape: ModelShape) -> dict[str, float]:
    """Tokens a second of both ways to train a cell, and how many times as long the automatic one takes."""
    by_hand, automatic = LocalTrainer(shape), LocalTrainer(replace(shape, cell=StepOnly(shape.cell)))
    received, whole = by_hand.load(initial_weights(shape, 0)), phone(SENTENCES, TOKENS)
    taken: dict[str, list[float]] = {"by_hand": [], "automatic": []}
    for _ in range(5):
        taken["by_hand"] += seconds(lambda: by_hand.train(received, whole, LEARNING_RATE), 6)
        taken["automatic"] += seconds(lambda: automatic.train(received, whole, LEARNING_RATE), 6)
    median_s = {name: float(np.median(values)) for name, values in taken.items()}
    rates = {f"{name}_tokens_per_s": whole.num_tokens / value for name, value in median_s.items()}
    return {**rates, "times_as_long": median_s["automatic"] / median_s["by_hand"]}


def main(cell: str, only: str = "") -> None:
    """Measure and print."""
    limit_threads(1)
    shape = shape_of(cell)
    if only == "autodiff":
        print(json.dumps(compare_with_autodiff(shape)))
        return
    trainer = LocalTrainer(shape)
    received = trainer.load(initial_weights(shape, 0))
    whole, tiny = phone(SENTENCES, TOKENS), phone(1, 2)
    if only == "phone":
        phone_s = seconds(lambda: trainer.train(received, whole, LEARNING_RATE), 100)
        print(json.dumps({"kernel_tokens_per_s": whole.num_tokens / float(np.median(phone_s))}))
        return
    # As many words that begin alike as in English: a word shares its first letter with some 8 % of the others.
    spelled = [f"{'abcdefghijklm'[number % 13]}{number}" for number in range(shape.vocabulary_size)]
    words = keystroke_table(spelled)
    total = FixedPointSum(shape.num_weights, 1.0)
    update = trainer.train(received, tiny, LEARNING_RATE).update
    phone_s = seconds(lambda: trainer.train(received, whole, LEARNING_RATE), 15)
    gemm = gemm_gflops()
    phone_s += seconds(lambda: trainer.train(received, whole, LEARNING_RATE), 15)
    found = {
        "cell": cell,
        "weights": shape.num_weights,
        "mflop_per_token": flop_per_token(shape) / 1e6,
        "gemm_gflops": gemm,
        "limit_tokens_per_s": max(gemm.values()) * 1e9 / flop_per_token(shape),
        "kernel_phone_s": float(np.median(phone_s)),
        "kernel_tokens_per_s": whole.num_tokens / float(np.median(phone_s)),
        "tiny_phone_s": float(np.median(seconds(lambda: trainer.train(received, tiny, LEARNING_RATE), 50))),
        "clip_and_sum_s": float(np.median(seconds(lambda: total.add(update), 50))),
        "score_tokens_per_s": whole.num_tokens
        / float(np.median(seconds(lambda: trainer.score(received, whole, words), 9))),
    }
    print(json.dumps(found))


if __name__ == "__main__":
    main(*sys.argv[1:])
