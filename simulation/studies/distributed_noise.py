"""Mean estimation with noise that phones add: its error beside central noise's, over the bits of the ring and epsilon.

The distributed mean estimation of Kairouz et al. 2021 (arXiv:2102.06387) and of Agarwal et al. 2021 (arXiv:2110.04995):
vectors of one length in random directions, one per phone; each is encoded, what the phones send is added up modulo
2^bits, and the mean is read from the sum. For each kind, bits and epsilon the noise is the least that the
accounting allows. Central Gaussian noise, of the same Renyi accounting, has the mean squared error (z C / n)^2 exactly,
for a noise multiplier z and clip norm C; all errors are shown as multiples of it. Nothing is trained.
"""

import functools
import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import product

import numpy as np
from numpy.typing import NDArray

from client_model.metrics.intervals import Interval, over_seeds
from server_strategy.privacy.accounting import noise_multiplier_for
from server_strategy.privacy.distributed_noise.encoding import PhoneEncoder, estimate_mean
from server_strategy.privacy.distributed_noise.phone_noise import PhoneNoise
from server_strategy.privacy.distributed_noise.ring import to_ring, wrapped_around
from server_strategy.privacy.distributed_noise.settle import UnreachableError, calibrate, settle
from server_strategy.privacy.distributed_noise.share import DISCRETE_GAUSSIAN, SKELLAM, NoiseKind
from server_strategy.privacy.noise_key import NoiseKey
from typefleet.errors import ConfigError, expected
from typefleet.steps import step

KINDS: tuple[NoiseKind, ...] = (DISCRETE_GAUSSIAN, SKELLAM)
CENTRAL = "central Gaussian"
_CLIP_NORM = 1.0  # the length of the vectors; errors scale with its square


@dataclass(frozen=True)
class Experiment:
    """Who takes part, and what is to be kept."""

    phones: int
    dimension: int
    delta: float
    deviations: float  # k: how many of its standard deviations the sum has room for, to each side
    threshold: int  # survivors whose noise the claim needs
    survivors: int
    block: int | None = None  # coordinates that are rotated together; None: all


@dataclass(frozen=True)
class Measured:
    """One kind of noise at one epsilon, over all seeds; None where no noise reaches epsilon in so few bits."""

    kind: str
    bits: int | None  # None: central noise
    epsilon: float
    noise_multiplier: float | None  # of the noise that the claim counts on
    upload_bytes: int | None  # per phone
    mse: Interval | None
    times_central: Interval | None  # the mean squared error over that of central noise
    wrapped_share: float | None  # of the coordinates, over all seeds


def measure(
    experiment: Experiment,
    bits: Sequence[int],
    epsilons: Sequence[float],
    seeds: Sequence[int],
    kinds: Sequence[NoiseKind] = KINDS,
) -> list[Measured]:
    """Encode, add up, decode, and compare with the true mean, for each kind, bits and epsilon.

    Args:
        experiment: who takes part.
        bits: of the rings.
        epsilons: to be reached.
        seeds: each has vectors, noise and rotations of its own.
        kinds: of noise.

    Raises:
        ConfigError: fewer survivors than the threshold, or settings that are out of bounds.
    """
    epsilons = sorted(epsilons)
    settled = _all_settled(experiment, bits, epsilons, kinds)
    found: dict[tuple[NoiseKind, int, float], list[tuple[float, float]]] = {case: [] for case in settled}
    with step("estimating means", total=len(seeds) * len(settled)) as estimating:
        for seed in seeds:  # outermost, so that the vectors of one alone take memory
            vectors = _vectors(experiment, seed)
            for case, noise in settled.items():
                if noise is not None:
                    found[case].append(_errors(noise, vectors, seed, _number_of(case)))
                estimating.advance()
    central = [_central(experiment, epsilon, seeds) for epsilon in epsilons]
    return central + [_row(experiment, case, noise, found[case]) for case, noise in settled.items()]


def expect(
    experiment: Experiment, bits: Sequence[int], epsilons: Sequence[float], kinds: Sequence[NoiseKind] = KINDS
) -> list[Measured]:
    """What `measure` would come to on average, at most, but for what wraps around: computed, nothing is drawn.

    The error has the variance of the survivors' noise and that of their rounding, at most 1/4 each, in units of the
    ring squared.

    Args:
        experiment, bits, epsilons, kinds: as of `measure`.

    Raises:
        ConfigError: fewer survivors than the threshold, or settings that are out of bounds.
    """
    epsilons = sorted(epsilons)
    rows = [
        _of_case(experiment, (CENTRAL, None, epsilon), None, [central_mse(experiment, epsilon)]) for epsilon in epsilons
    ]
    for case, noise in _all_settled(experiment, bits, epsilons, kinds).items():
        errors = []
        if noise is not None:
            unit = _CLIP_NORM / noise.clip_units / experiment.survivors
            errors = [experiment.survivors * (noise.share_stddev**2 + 1 / 4) * unit**2]
        rows.append(_of_case(experiment, case, noise, errors))
    return rows


def central_mse(experiment: Experiment, epsilon: float) -> float:
    """Mean squared error of each coordinate with central Gaussian noise, exactly.

    Args:
        experiment: who takes part.
        epsilon: that is reached.
    """
    z = noise_multiplier_for(epsilon, experiment.delta, 1.0)
    return (z * _CLIP_NORM / experiment.survivors) ** 2


def _all_settled(
    experiment: Experiment, bits: Sequence[int], epsilons: Sequence[float], kinds: Sequence[NoiseKind]
) -> dict[tuple[NoiseKind, int, float], PhoneNoise | None]:
    if experiment.survivors < experiment.threshold:
        at_most = f"at most {experiment.phones - experiment.threshold}, or the round is below its threshold"
        raise ConfigError(expected("lost phones", at_most, experiment.phones - experiment.survivors))
    return {case: _settled(experiment, *case) for case in product(kinds, sorted(bits), epsilons)}


def _settled(experiment: Experiment, kind: NoiseKind, bits: int, epsilon: float) -> PhoneNoise | None:
    make = functools.partial(
        settle,
        kind,
        bits=bits,
        dimension=experiment.dimension,
        phones=experiment.phones,
        threshold=experiment.threshold,
        deviations=experiment.deviations,
        block=experiment.block,
    )
    try:
        return calibrate(make, epsilon, experiment.delta)
    except UnreachableError:
        return None


def _generator(seed: int, *purpose: object) -> np.random.Generator:
    return NoiseKey.seeded(seed).generator(0, 0, purpose=f"mean estimation: {purpose}")


def _number_of(case: tuple[NoiseKind, int, float]) -> int:
    """In the place of a round's: each case has randomness of its own, whatever else is measured."""
    return int.from_bytes(hashlib.blake2b(repr(case).encode(), digest_size=6).digest())


def _vectors(experiment: Experiment, seed: int) -> NDArray[np.float32]:
    """Of the phones that survive: float32 [survivors, dimension], of one length in random directions."""
    normal = _generator(seed, "vectors").normal(size=(experiment.survivors, experiment.dimension))
    of_one_length: NDArray[np.float32] = (normal * (_CLIP_NORM / np.linalg.norm(normal, axis=1, keepdims=True))).astype(
        np.float32
    )
    return of_one_length


def _central(experiment: Experiment, epsilon: float, seeds: Sequence[int]) -> Measured:
    expected_mse = central_mse(experiment, epsilon)
    stddev = math.sqrt(expected_mse)
    errors = [
        float(np.square(_generator(seed, "central", epsilon).normal(0, stddev, experiment.dimension)).mean())
        for seed in seeds
    ]
    return _of_case(experiment, (CENTRAL, None, epsilon), None, errors)


def _errors(noise: PhoneNoise, vectors: NDArray[np.float32], seed: int, number: int) -> tuple[float, float]:
    """(mean squared error, share of coordinates that wrapped around) of one sum; `number` keys its randomness."""
    encoder = PhoneEncoder(noise, NoiseKey.seeded(seed), rotation_seed=seed)
    true_sum = np.zeros(noise.padded, np.int64)
    for phone, vector in enumerate(vectors):
        true_sum += encoder.whole_numbers(vector, number, phone, clip_norm=_CLIP_NORM)
    mean = estimate_mean(
        noise,
        to_ring(true_sum, noise.bits),  # the same as the sum of residues modulo 2^bits
        number,
        rotation_seed=seed,
        clip_norm=_CLIP_NORM,
        denominator=len(vectors),
    )
    error = mean - vectors.astype(np.float64).mean(axis=0)
    return float(np.square(error).mean()), wrapped_around(true_sum, noise.bits) / noise.padded


def _row(
    experiment: Experiment,
    case: tuple[NoiseKind, int, float],
    noise: PhoneNoise | None,
    found: list[tuple[float, float]],
) -> Measured:
    errors, shares = [error for error, _ in found], [share for _, share in found]
    return replace(_of_case(experiment, case, noise, errors), wrapped_share=float(np.mean(shares)) if shares else None)


def _of_case(
    experiment: Experiment, case: tuple[str, int | None, float], noise: PhoneNoise | None, errors: Sequence[float]
) -> Measured:
    """A row of mean squared errors, one per seed; of none where no noise reaches epsilon."""
    kind, bits, epsilon = case
    central = central_mse(experiment, epsilon)
    z = noise_multiplier_for(epsilon, experiment.delta, 1.0) if kind == CENTRAL else None
    return Measured(
        kind=kind,
        bits=bits,
        epsilon=epsilon,
        noise_multiplier=z if noise is None else noise.noise_multiplier,
        upload_bytes=None if noise is None else noise.upload_bytes,
        mse=over_seeds(errors) if errors else None,
        times_central=over_seeds([error / central for error in errors]) if errors else None,
        wrapped_share=None,
    )
