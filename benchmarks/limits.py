"""The best rates of this core: float32 products, softmax, and the stream between memory and core; on one thread."""

import time
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import tensorflow as tf

from benchmarks.roofline import CoreRates

_SQUARE = (1024, 2048)
_STREAM_FLOATS = 1 << 25  # 128 MiB each of three vectors: far more than a core's share of any cache
_BLOCK_ROWS = 16  # of logits that stay in a core's cache: 640 kB of 10,000 columns
_CHAIN = 10  # softmaxes one after another in a call, so that the call itself costs nothing beside them


def seconds(body: Callable[[], object], repeats: int, clock: Callable[[], float] = time.process_time) -> list[float]:
    """Times of `repeats` calls, after one that is not counted.

    Of one thread processor time is wall time on a machine of its own, and nearly the same where others work beside it.

    Args:
        body: what is called.
        repeats: how often.
        clock: gives seconds.
    """
    body()
    found = []
    for _ in range(repeats):
        began = clock()
        body()
        found.append(clock() - began)
    return found


def product_gflops(repeats: int) -> dict[str, float]:
    """The fastest square float32 product, by TensorFlow (oneDNN) and by numpy (its BLAS)."""
    rates = {"tensorflow": 0.0, "numpy": 0.0}
    product = tf.function(tf.matmul)
    for n in _SQUARE:
        pair = [np.random.default_rng(i).random((n, n), np.float32) for i in (0, 1)]
        tensors, out = [tf.constant(x) for x in pair], np.empty((n, n), np.float32)
        of = {"tensorflow": partial(product, *tensors), "numpy": partial(np.matmul, *pair, out=out)}
        for name, body in of.items():
            rates[name] = max(rates[name], 2 * n**3 / min(seconds(body, repeats)) / 1e9)
    return rates


def stream_gb_s(repeats: int, weights: int, floats: int = _STREAM_FLOATS) -> dict[str, float]:
    """What copying a vector and adding two of them moves at best, reads and writes counted, as STREAM counts them.

    Args:
        repeats: how often each is done.
        weights: of the model: vectors of so many floats may stay in a cache.
        floats: of vectors that stay in none.
    """
    found = {}
    for ending, length in (("", floats), (" of the weights", weights)):
        a, b, c = (np.full(length, value, np.float32) for value in (1, 2, 3))
        copy, add = partial(np.copyto, c, a), partial(np.add, a, b, out=c)
        found[f"copy{ending}"] = 2 * a.nbytes / min(seconds(copy, repeats)) / 1e9
        found[f"add{ending}"] = 3 * a.nbytes / min(seconds(add, repeats)) / 1e9
    return found


def softmax_ns(columns: int, rows: int, repeats: int) -> dict[str, float]:
    """Nanoseconds a column of TensorFlow's softmax: of a few rows, which stay in the cache, and of a batch."""
    found = {}
    for name, height in {"in the cache": _BLOCK_ROWS, "of a batch": rows}.items():

        def chain(x: Any) -> Any:
            for _ in range(_CHAIN):
                x = tf.nn.softmax(x)  # [rows, columns], in the same place
            return x[0, 0]

        logits = tf.constant(np.random.default_rng(0).normal(size=(height, columns)).astype(np.float32))
        taken = min(seconds(partial(tf.function(chain), logits), repeats))
        found[name] = 1e9 * taken / (_CHAIN * height * columns)
    return found


def best_rates(products: dict[str, float], streams: dict[str, float], softmaxes: dict[str, float]) -> CoreRates:
    """The best of each kind."""
    return CoreRates(
        product_flops=1e9 * max(products.values()),
        softmax_s=1e-9 * min(softmaxes.values()),
        stream_bytes_s=1e9 * max(streams.values()),
    )
