"""A phone's share of the noise: whole numbers, keyed by secret, purpose, round and phone.

Discrete Gaussian shares are sampled exactly, by comparisons of uniform whole numbers alone
(`server_strategy.privacy.discrete_gaussian`). A Skellam share is the difference of two Poisson numbers, which numpy
samples by rejection (Hormann 1993, PTRS; by multiplication for means below 10): exact but for the rounding of its
acceptance test in float64, about 1e-15 of each probability, and no bound on that is part of the claim.
"""

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from server_strategy.privacy.discrete_gaussian import discrete_gaussian
from server_strategy.privacy.noise_key import NoiseKey
from typefleet.errors import expected

NoiseKind = Literal["discrete-gaussian", "skellam"]
DISCRETE_GAUSSIAN: NoiseKind = "discrete-gaussian"
SKELLAM: NoiseKind = "skellam"
_MOST_VARIANCE = 2.0**63


def skellam(rng: np.random.Generator, variance: float, size: int) -> NDArray[np.int64]:
    """Differences of two Poisson numbers of mean variance / 2: int64 [size].

    Args:
        rng: source of randomness.
        variance: of the differences, > 0.
        size: number of samples.

    Raises:
        ValueError: a variance of which no Poisson numbers of 63 bits can be drawn.
    """
    if not 0 < variance <= _MOST_VARIANCE:
        raise ValueError(expected("variance", "a number above 0, at most 2^63", variance))
    difference: NDArray[np.int64] = rng.poisson(variance / 2, size)
    difference -= rng.poisson(variance / 2, size)
    return difference


def generator_of(key: NoiseKey, purpose: str, server_round: int, phone: int, attempt: int = 0) -> np.random.Generator:
    """The generator of one phone's draws of one purpose in one round.

    Args:
        key: of the run's noise. On real phones each has one of its own, which the server never sees.
        purpose: what is drawn.
        server_round, phone: whose.
        attempt: counts, from 1, further rounds in the place of the same one.
    """
    return key.generator(server_round, phone, purpose=f"phones: {purpose}", attempt=attempt)


def noise_share(rng: np.random.Generator, kind: NoiseKind, stddev: float, size: int) -> NDArray[np.int64]:
    """Noise of one phone: int64 [size].

    Args:
        rng: of that phone and round.
        kind: of noise.
        stddev: of each number, in units of the ring; the parameter sigma, whole, of discrete Gaussian noise.
        size: number of samples.

    Raises:
        ValueError: a parameter that is not sampled exactly.
    """
    if kind == SKELLAM:
        return skellam(rng, stddev**2, size)
    return discrete_gaussian(rng, int(stddev) if stddev == int(stddev) else 0, size)
