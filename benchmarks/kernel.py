"""The limit and the kernel, on one thread: python -m benchmarks.kernel CELL [all|phone|autodiff] [REPEATS] [KERNEL]

The kernel is the one that a run would take; where that is the native one, TensorFlow's is measured beside it. Prints
one JSON object: the best rates of this core (`limits`), the roofline of the cell on the workload's phones
(`roofline`), and the tokens a second of local training alone, on those phones, on a tiny phone, and in scoring; with
`phone`, only the training; with `autodiff`, the cell's hand-written passes beside automatic differentiation of its
step by TensorFlow, the two in turns. Each is repeated REPEATS times, 12 by default. KERNEL is as `--engine.kernel` has
it. Times are the processor's, but with `phone`.
"""

import json
import sys
import time
from dataclasses import replace
from typing import Any

import numpy as np

import benchmarks.quietly  # noqa: F401  before what imports TensorFlow
from benchmarks.limits import best_rates, product_gflops, seconds, softmax_ns, stream_gb_s
from benchmarks.roofline import TokenCost, bytes_per_token, least_seconds
from benchmarks.workload import (
    BATCH,
    LEARNING_RATE,
    SENTENCES,
    TOKENS,
    VOCABULARY,
    StepOnly,
    flop_per_token,
    shape_of,
    spelled_words,
)
from client_model.config import WantedKernel
from client_model.learning.language_model import ModelShape, initial_weights
from client_model.learning.local_training import LocalTrainer, limit_threads
from client_model.learning.trainers import Trainer, chosen_kernel, make_trainer
from client_model.metrics.keystrokes import keystroke_table
from client_model.text.batches import PackedBatches, pack
from server_strategy.update_sum import FixedPointSum

KERNELS: dict[str, WantedKernel] = {"auto": "auto", "native": "native", "tensorflow": "tensorflow"}
_SCORED_TOGETHER, _SCORED_ROWS = 8, 80  # phones, and sentences a batch, as the engine's hosts score them


def phone(sentences: int, tokens: int, rows: int = BATCH) -> PackedBatches:
    """A phone with random text, so many sentences a batch."""
    rng, total = np.random.default_rng(0), sentences * tokens
    inputs, targets = (rng.integers(8, VOCABULARY, total).astype(np.int32) for _ in range(2))
    order = np.arange(sentences)
    lengths = np.full(sentences, tokens)
    return pack(inputs, targets, lengths, order=order, batch=order // rows, sequence_length=TOKENS)


def compare_with_autodiff(shape: ModelShape, whole: PackedBatches, repeats: int) -> dict[str, float]:
    """Tokens a second of both ways to train a cell, and how many times as long the automatic one takes."""
    by_hand, automatic = LocalTrainer(shape), LocalTrainer(replace(shape, cell=StepOnly(shape.cell)))
    received = by_hand.load(initial_weights(shape, 0))
    taken: dict[str, list[float]] = {"by_hand": [], "automatic": []}
    for _ in range(5):
        taken["by_hand"] += seconds(lambda: by_hand.train(received, whole, LEARNING_RATE), max(repeats // 2, 1))
        taken["automatic"] += seconds(lambda: automatic.train(received, whole, LEARNING_RATE), max(repeats // 2, 1))
    median_s = {name: float(np.median(values)) for name, values in taken.items()}
    rates = {f"{name}_tokens_per_s": whole.num_tokens / value for name, value in median_s.items()}
    return {**rates, "times_as_long": median_s["automatic"] / median_s["by_hand"]}


def rooflines(shape: ModelShape, whole: PackedBatches, scored: PackedBatches, repeats: int) -> dict[str, Any]:
    """The best rates of this core, and the most tokens a second that they leave to training and to scoring."""
    columns, rows = shape.vocabulary_size, int(whole.step_rows[0].sum())
    found = {
        "gemm_gflops": product_gflops(max(repeats // 2, 1)),
        "stream_gb_s": stream_gb_s(max(repeats // 4, 1), shape.num_weights),
        "softmax_ns": softmax_ns(columns, rows, repeats),
    }
    rates = best_rates(found["gemm_gflops"], found["stream_gb_s"], found["softmax_ns"])
    bytes_trained = bytes_per_token(shape.num_weights, len(whole.step_rows), whole.num_tokens)
    bytes_scored = bytes_per_token(shape.num_weights, len(scored.step_rows), scored.num_tokens, passes=1)
    training = TokenCost(flop_per_token(shape), columns, bytes_trained).seconds(rates)
    scoring = TokenCost(flop_per_token(shape) / 3, columns, bytes_scored).seconds(rates)
    return found | {
        "products_tokens_per_s": 1 / training["products"],
        "limit_us_per_token": {part: 1e6 * value for part, value in training.items()},
        "limit_tokens_per_s": 1 / least_seconds(training),
        "scoring_limit_tokens_per_s": 1 / least_seconds(scoring),
    }


def kernel_alone(trainer: Trainer, whole: PackedBatches, repeats: int) -> dict[str, Any]:
    """The limit, and what training and scoring come to without an engine around them."""
    shape, tiny = trainer.shape, phone(1, 2)
    scored = phone(SENTENCES * _SCORED_TOGETHER, TOKENS, _SCORED_ROWS)
    received = trainer.load(initial_weights(shape, 0))
    words = keystroke_table(spelled_words(shape.vocabulary_size))
    total = FixedPointSum(shape.num_weights, 1.0)
    update = trainer.train(received, tiny, LEARNING_RATE).update
    of_tensorflow = LocalTrainer(shape)
    there = of_tensorflow.load(initial_weights(shape, 0))
    phone_s, beside_s = list[float](), list[float]()
    for turn in (1, 2):  # the machine may have changed
        phone_s += seconds(lambda: trainer.train(received, whole, LEARNING_RATE), repeats)
        if not isinstance(trainer, LocalTrainer):
            beside_s += seconds(lambda: of_tensorflow.train(there, whole, LEARNING_RATE), repeats)
        if turn == 1:
            limits = rooflines(shape, whole, scored, repeats)
    score_s = seconds(lambda: trainer.score(received, scored, words), max(repeats // 4, 1))
    return {
        "weights": shape.num_weights,
        "mflop_per_token": flop_per_token(shape) / 1e6,
        **limits,
        "kernel_phone_s": float(np.median(phone_s)),
        "kernel_tokens_per_s": whole.num_tokens / float(np.median(phone_s)),
        **({"tensorflow_tokens_per_s": whole.num_tokens / float(np.median(beside_s))} if beside_s else {}),
        "tiny_phone_s": float(np.median(seconds(lambda: trainer.train(received, tiny, LEARNING_RATE), 4 * repeats))),
        "clip_and_sum_s": float(np.median(seconds(lambda: total.add(update), 4 * repeats))),
        "score_tokens_per_s": scored.num_tokens / float(np.median(score_s)),
    }


def training_alone(trainer: Trainer, whole: PackedBatches, repeats: int) -> dict[str, float]:
    """What training comes to by wall time, since two processes may do it at once, and nothing else."""
    received = trainer.load(initial_weights(trainer.shape, 0))
    phone_s = seconds(lambda: trainer.train(received, whole, LEARNING_RATE), repeats, time.perf_counter)
    return {"kernel_tokens_per_s": whole.num_tokens / float(np.median(phone_s))}


def main(cell: str, what: str = "all", repeats: str = "12", kernel: str = "auto") -> None:
    """Measure and print."""
    limit_threads(1)
    shape, whole = shape_of(cell), phone(SENTENCES, TOKENS)
    if what == "autodiff":
        measured = compare_with_autodiff(shape, whole, int(repeats))
        print(json.dumps({"cell": cell, **measured}))
        return
    chosen = chosen_kernel(KERNELS[kernel], shape)
    trainer = make_trainer(shape, kernel=chosen)
    measured = {"all": kernel_alone, "phone": training_alone}[what](trainer, whole, int(repeats))
    print(json.dumps({"cell": cell, "kernel": chosen, **measured}))


if __name__ == "__main__":
    main(*sys.argv[1:])
