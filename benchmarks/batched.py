"""Phones trained at once beside the same phones one after another: python -m benchmarks.batched CELL [PHONES] [REPEATS]

Prints one JSON object: processor milliseconds of a phone both ways, in turns and on one thread, medians of REPEATS (5
by default); by how much their updates differ, relative to the update; and the memory that a phone takes, as counted
and as the resident size grew. On phones of 50 sentences of 20 tokens ("even") and of geometric length ("ragged").
"""

import json
import sys
import time
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from benchmarks.kernel import phone
from benchmarks.workload import BATCH, LEARNING_RATE, SENTENCES, TOKENS, VOCABULARY, shape_of
from client_model.learning.batched_training import BatchedTrainer
from client_model.learning.language_model import initial_weights
from client_model.learning.local_training import LocalTrainer, limit_threads
from client_model.learning.padded_batches import Group, bytes_per_phone
from client_model.text.batches import PackedBatches, pack
from simulation.engine.memory import peak_rss_bytes

_BOUND = 0.5  # on a step's gradient, as by default in a run
_MEAN_WORDS = 9.5


def ragged(seed: int) -> PackedBatches:
    """A phone of as many short messages, of geometric length."""
    rng = np.random.default_rng(seed)
    lengths = np.minimum(rng.geometric(1 / _MEAN_WORDS, SENTENCES), TOKENS)
    inputs, targets = rng.integers(8, VOCABULARY, (2, int(lengths.sum())), np.int32)
    order = np.arange(SENTENCES)
    return pack(inputs, targets, lengths, order=order, batch=order // BATCH, sequence_length=TOKENS)


def _processor_ms(work: Callable[[], object]) -> float:
    began = time.process_time()
    work()
    return 1000 * (time.process_time() - began)


def compare(cell: str, phones: int, repeats: int) -> dict[str, object]:
    """The figures of one cell."""
    shape = shape_of(cell)
    if cell == "transformer":
        shape = replace(shape, units=672)  # a multiple of its heads
    before = peak_rss_bytes()
    one = LocalTrainer(shape, _BOUND)
    many = BatchedTrainer(one, _BOUND, Group(phones, BATCH, "cpu"))
    many.warm_up()
    grown = peak_rss_bytes() - before
    received = many.load(initial_weights(shape, 0))
    found: dict[str, object] = {"phones_at_a_time": phones}
    for name, work in (
        ("even", [phone(SENTENCES, TOKENS)] * phones),
        ("ragged", [ragged(seed) for seed in range(phones)]),
    ):
        alone = [one.train(received.to_score, batches, LEARNING_RATE) for batches in work]
        errors = [
            float(np.linalg.norm(a.update - b.update) / np.linalg.norm(a.update))
            for a, b in zip(alone, many.train_together(received, work, LEARNING_RATE), strict=True)
        ]
        taken = [
            (
                _processor_ms(lambda: [one.train(received.to_score, batches, LEARNING_RATE) for batches in work]),  # noqa: B023
                _processor_ms(lambda: many.train_together(received, work, LEARNING_RATE)),  # noqa: B023
            )
            for _ in range(repeats)
        ]
        one_ms, many_ms = np.median(taken, 0) / phones
        found[name] = {"one_ms": float(one_ms), "at_once_ms": float(many_ms), "largest_error": max(errors)}
    memory = {"counted": bytes_per_phone(shape, BATCH) / 1e6, "grown": grown / phones / 1e6}
    return {**found, "mb_per_phone": memory}


if __name__ == "__main__":
    limit_threads(1)
    given = [int(word) for word in sys.argv[2:]]
    print(json.dumps(compare(sys.argv[1], *(given + [8, 5][len(given) :])), indent=2))
