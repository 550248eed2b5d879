"""Randomness that depends on what it is for, never on who asks, when, or in which order.

Every draw is a function of (seed, purpose, counters), the counters being numbers such as the round
and the phone. Two ways to draw:

* `generator` gives a numpy Generator for one small task (one phone, one round).
* `uniform` hashes whole arrays of counters at once, for populations of millions.

Example:
    >>> import numpy as np
    >>> key = purpose_key(7, "messages a phone")
    >>> bool((uniform(key, np.arange(4))[2:] == uniform(key, np.arange(2, 4))).all())
    True

The hash is the finaliser of SplitMix64 (Steele, Lea, Flood: "Fast splittable pseudorandom number
generators", OOPSLA 2014, section 4), applied once a counter. It serves the simulated world only;
the noise of a privacy mechanism comes from a cryptographically keyed numpy stream.
"""

import hashlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

_GOLDEN_GAMMA = np.uint64(0x9E3779B97F4A7C15)


def _digest(seed: int, purpose: str, counters: tuple[int, ...]) -> bytes:
    text = repr((int(seed), purpose, tuple(int(c) for c in counters)))
    return hashlib.blake2b(text.encode(), digest_size=16).digest()


def purpose_key(seed: int, purpose: str, *counters: int) -> np.uint64:
    """A 64-bit key for `uniform`; different purposes give unrelated keys."""
    return np.uint64(int.from_bytes(_digest(seed, purpose, counters)[:8], "little"))


def generator(seed: int, purpose: str, *counters: int) -> np.random.Generator:
    """A numpy Generator keyed by (seed, purpose, counters)."""
    entropy = int.from_bytes(_digest(seed, purpose, counters), "little")
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(entropy)))


def _mix(x: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Mix the bits of numbers that nobody else holds: an array is changed in place, which saves half of the time."""
    x ^= x >> np.uint64(30)
    x *= np.uint64(0xBF58476D1CE4E5B9)
    x ^= x >> np.uint64(27)
    x *= np.uint64(0x94D049BB133111EB)
    x ^= x >> np.uint64(31)
    return x


Key = np.uint64 | NDArray[np.uint64]  # an array: the hash of earlier counters, which later ones go on from


def hash_uint64(key: Key, *counters: ArrayLike) -> NDArray[np.uint64]:
    """Hash broadcastable integer arrays to uint64 of their common shape.

    The counters can be hashed in steps: `hash_uint64(hash_uint64(key, a), b)` is `hash_uint64(key, a, b)`.
    """
    with np.errstate(over="ignore"):
        state = np.asarray(key, np.uint64)
        for counter in counters:
            word = np.asarray(counter).astype(np.uint64)  # a copy
            word *= _GOLDEN_GAMMA
            # state + (counter + 1) gamma. One to one in the counter: no two collide under the same state.
            state = _mix(word + (state + _GOLDEN_GAMMA))
        return state


def weighted_choice(
    key: np.uint64, values: Sequence[float], weights: Sequence[float], *counters: ArrayLike
) -> NDArray[np.float64]:
    """One of `values` for each combination of counters, with probabilities in proportion to `weights`."""
    bounds = np.cumsum(np.array(weights) / sum(weights))[:-1]
    return np.array(values, np.float64)[np.searchsorted(bounds, uniform(key, *counters), "right")]


def uniform(key: Key, *counters: ArrayLike) -> NDArray[np.float64]:
    """Uniform numbers in the open interval (0, 1), one for each combination of counters."""
    numbers = (hash_uint64(key, *counters) >> np.uint64(11)).astype(np.float64)
    numbers += 0.5
    numbers *= 2.0**-53
    return numbers
