"""The parts of the kernel in C, on one thread: python -m benchmarks.native_parts [REPEATS]

Prints one JSON object for each set of instructions: GFLOP/s of products of the sizes that CIFG and the plain LSTM have
(96 / 670, 10,000 words, batches of 16 rows and 320 tokens), milliseconds of the last layer's loss and gradients, with
TensorFlow's in turns, and microseconds of a token in scoring its outputs. Processor time, the best of REPEATS, 15 by
default, as `limits` has its rates: others may work on the machine.
"""

import json
import sys
import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from benchmarks.workload import VOCABULARY, shape_of, spelled_words
from client_model.learning.local_training import last_layer, limit_threads
from client_model.learning.native import kernel
from client_model.metrics.keystrokes import keystroke_table

_WIDTH, _UNITS, _TOKENS = shape_of("cifg").embedding_size, shape_of("cifg").units, 320
_OF_ONE_MEASUREMENT = 2e8  # operations, so that a clock is fine enough
# Rows, terms and columns. Those of a weight's gradient are that of a transposed with b.
PRODUCTS = {
    "logits": (_TOKENS, _WIDTH, VOCABULARY),
    "input, CIFG": (_TOKENS, _WIDTH, 3 * _UNITS),
    **{f"step of {rows} rows, CIFG": (rows, _WIDTH, 3 * _UNITS) for rows in (1, 4, 16)},
    "the same backward, 16 rows": (16, 3 * _UNITS, _WIDTH),
    "step of 16 rows, LSTM": (16, _UNITS, 4 * _UNITS),
    "its gradient backward": (16, 4 * _UNITS, _UNITS),
}
GRADIENTS = {
    "recurrent kernel, CIFG": (_WIDTH, _TOKENS, 3 * _UNITS),
    "recurrent kernel, LSTM": (_UNITS, _TOKENS, 4 * _UNITS),
}


def best_in_turns(bodies: Mapping[str, Callable[[], object]], repeats: int, times: int = 1) -> dict[str, float]:
    """Seconds of each of some calls, each made `times` times in a row."""
    best = dict.fromkeys(bodies, np.inf)
    for _ in range(repeats + 1):
        for name, body in bodies.items():
            began = time.process_time()
            for _ in range(times):
                body()
            best[name] = min(best[name], (time.process_time() - began) / times)
    return best


def normal(*shape: int) -> NDArray[np.float32]:
    """Small numbers of both signs."""
    return np.random.default_rng(0).normal(scale=0.1, size=shape).astype(np.float32)


def product_gflops(variant: str, m: int, k: int, n: int, repeats: int) -> float:
    """Of a product without the packing of b, of which a batch has one for all its steps."""
    a, b, c = normal(m, k), normal(k, n), np.empty((m, n), np.float32)
    no_rows = np.empty((0, n), np.float32), np.empty((0, k), np.float32)
    bodies = {
        "whole": partial(kernel.product, variant, c, a, b, None, False, False),
        "packing": partial(kernel.product, variant, *no_rows, b, None, False, False),
    }
    flop = 2 * m * k * n
    found = best_in_turns(bodies, repeats, 1 + int(_OF_ONE_MEASUREMENT / flop))
    return flop / (found["whole"] - found["packing"]) / 1e9


def gradient_gflops(variant: str, m: int, k: int, n: int, repeats: int) -> float:
    """Of a' b, for which nothing is packed."""
    a, b, c = normal(k, m), normal(k, n), np.empty((m, n), np.float32)
    flop = 2 * m * k * n
    body = partial(kernel.product_transposed, variant, c, a, b, False)
    return flop / best_in_turns({"whole": body}, repeats, 1 + int(_OF_ONE_MEASUREMENT / flop))["whole"] / 1e9


def output_layer_ms(variant: str, tokens: int, repeats: int) -> dict[str, float]:
    """Loss and gradients of the last layer, as `local_training` has it in TensorFlow."""
    outputs, embedding, bias = normal(tokens, _WIDTH), normal(VOCABULARY, _WIDTH), normal(VOCABULARY)
    targets = np.random.default_rng(1).integers(0, VOCABULARY, tokens).astype(np.int32)
    into = np.empty_like(outputs), np.empty_like(embedding), np.empty_like(bias)
    given = [tf.constant(x) for x in (outputs, embedding, bias, targets)]
    whole = partial(
        kernel.output_layer_gradients, variant, outputs, targets, embedding, bias, *into, 1 / tokens, 1.0, False
    )
    found = best_in_turns({"c": whole, "tensorflow": partial(tf.function(_output_layer), *given)}, repeats)
    return {name: 1e3 * seconds for name, seconds in found.items()}


def _output_layer(outputs: Any, embedding: Any, bias: Any, targets: Any) -> Any:
    loss, d_outputs, d_embedding, scaled_outputs, d_bias = last_layer(outputs, embedding, bias, targets)
    return loss, d_outputs, tf.tensor_scatter_nd_sub(d_embedding, targets[:, None], scaled_outputs), d_bias


def scoring_us(variant: str, repeats: int, tokens: int = 1600) -> dict[str, float]:
    """Of a token's logits, and of all that is scored of it, once it has its outputs."""
    outputs, embedding, bias = normal(tokens, _WIDTH), normal(VOCABULARY, _WIDTH), normal(VOCABULARY)
    targets = np.random.default_rng(1).integers(8, VOCABULARY, tokens).astype(np.int32)
    table = keystroke_table(spelled_words(VOCABULARY))
    floats = np.empty(kernel.scoring_floats(variant, VOCABULARY, _WIDTH), np.float32)
    kernel.prepare_scoring(variant, embedding, floats)
    loss, rank, keystrokes = np.empty(tokens, np.float32), np.empty(tokens, np.int64), np.empty(tokens, np.int64)
    of_outputs = partial(kernel.score_outputs, variant, outputs, bias, targets)
    bodies = {
        "loss": partial(of_outputs, None, loss, None, None, floats),
        "loss, rank and keystrokes": partial(of_outputs, table, loss, rank, keystrokes, floats),
        "packing the embedding": partial(kernel.prepare_scoring, variant, embedding, floats),
    }
    return {name: 1e6 * seconds / tokens for name, seconds in best_in_turns(bodies, repeats).items()}


def main(repeats: str = "15") -> None:
    """Measure and print."""
    limit_threads(1)
    found: dict[str, Any] = {}
    for variant in kernel.variants():
        if variant == "portable" and not kernel.portable_is_fast():
            continue
        found[variant] = {
            "product_gflops": {name: product_gflops(variant, *sizes, int(repeats)) for name, sizes in PRODUCTS.items()},
            "gradient_gflops": {name: gradient_gflops(variant, *s, int(repeats)) for name, s in GRADIENTS.items()},
            "output_layer_ms": {n: output_layer_ms(variant, n, int(repeats)) for n in (16, 40, 150, 320)},
            "scoring_us_per_token": scoring_us(variant, int(repeats)),
        }
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main(*sys.argv[1:])
