"""Mean estimation with noise that phones add: its error beside central noise's, over the bits of the ring and epsilon.

The distributed mean estimation of Kairouz et al. 2021 (arXiv:2102.06387) and of Agarwal et al. 2021 (arXiv:2110.04995):
vectors of one length in random directions, one per phone; each is encoded, what the phones send is added up modulo
2^bits, and the mean is read from the sum. For each kind, bits and epsilon the noise is the least that the
accounting allows. Central Gaussian noise, of the same Renyi accounting, has the mean squared error (z C / n)^2 exactly,
for a noise multiplier z and clip norm C; all errors are shown as multiples of it. Nothing is trained.
"""

import functools
import hashlib
import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console

from client_model.metrics.intervals import Interval, over_seeds, shown_half
from server_strategy.aggregation.distributed_noise.encoding import PhoneEncoder, estimate_mean
from server_strategy.aggregation.distributed_noise.phone_noise import PhoneNoise
from server_strategy.aggregation.distributed_noise.ring import to_ring, wrapped_around
from server_strategy.aggregation.distributed_noise.settle import UnreachableError, calibrate, settle
from server_strategy.aggregation.distributed_noise.share import DISCRETE_GAUSSIAN, SKELLAM, NoiseKind
from server_strategy.privacy.accounting import noise_multiplier_for
from server_strategy.privacy.noise_key import NoiseKey
from simulation.files import write_text_atomically
from simulation.tables import print_table
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


def print_measured(console: Console, experiment: Experiment, rows: Sequence[Measured]) -> None:
    """Print a table for each kind of noise, a line for each epsilon, and what it is of.

    Args:
        console: where to.
        experiment: who took part.
        rows: what was measured.
    """
    shown = {(row.kind, row.bits, row.epsilon): _shown(row) for row in rows}
    sizes = {row.bits: row.upload_bytes for row in rows if row.upload_bytes}
    all_bits = sorted({row.bits for row in rows if row.bits is not None})
    for kind in dict.fromkeys(row.kind for row in rows if row.kind != CENTRAL):
        lines = [
            [f"{epsilon:g}", shown[CENTRAL, None, epsilon], *(shown[kind, bits, epsilon] for bits in all_bits)]
            for epsilon in sorted({row.epsilon for row in rows})
        ]
        columns = (f"{bits} bits\n{_kilobytes(sizes.get(bits))}" for bits in all_bits)
        print_table(console, (f"{kind}\nepsilon", "central\nGaussian", *columns), lines)
    for line in _notes(experiment, rows):
        console.print(line)


def _notes(experiment: Experiment, rows: Sequence[Measured]) -> Iterator[str]:
    """What the figures are of."""
    seeds = next((row.mse.number for row in rows if row.mse is not None), 0)
    over = f"; ±: 95 % over {seeds} seeds" if seeds > 1 else ""
    yield (
        f"Mean squared error of the mean of {experiment.survivors:,} phones' vectors in {experiment.dimension:,} "
        f"dimensions, as a multiple of what central Gaussian noise has at the same epsilon and delta "
        f"{experiment.delta:g}{over}. kB: that a phone sends. unreachable: no noise gets epsilon so low in a ring of "
        "so few bits."
    )
    if (extra := experiment.survivors / experiment.threshold) > 1:
        yield (
            f"The claim needs the noise of {experiment.threshold:,} survivors; {experiment.survivors:,} add "
            f"{extra:.2f} times its variance."
        )
    wrapped = [row.wrapped_share for row in rows if row.wrapped_share is not None]
    if wrapped:
        share = f"at most {100 * max(wrapped):.2g} %" if max(wrapped) else "none"
        yield f"Coordinates that wrapped around: {share}."
    else:
        yield "Expected, not drawn: at most so much on average, but for coordinates that wrap around."


def _kilobytes(size: int | None) -> str:
    return "-" if size is None else f"{size / 1000:,.1f} kB"


def _shown(row: Measured) -> str:
    interval = row.times_central
    if interval is None:
        return "unreachable"
    half = "" if interval.half_width is None else f" ±{shown_half(f'{interval.half_width:.2f}')}"
    return f"{interval.mean:.2f}{half}"


def write_measured(folder: Path, experiment: Experiment, rows: Sequence[Measured]) -> list[Path]:
    """Write distributed_noise.json and distributed_noise.png into a folder; returns their paths.

    Args:
        folder: made if it is not there.
        experiment: who took part.
        rows: what was measured.
    """
    folder.mkdir(parents=True, exist_ok=True)
    content: dict[str, Any] = {"experiment": asdict(experiment), "measured": [asdict(row) for row in rows]}
    paths = [folder / "distributed_noise.json", folder / "distributed_noise.png"]
    write_text_atomically(paths[0], json.dumps(content, indent=2) + "\n")
    plot(paths[1], experiment, rows)
    return paths


def plot(path: Path, experiment: Experiment, rows: Sequence[Measured]) -> None:
    """Draw the error over epsilon, a panel for each kind of noise and a line for each number of bits.

    Args:
        path: of the PNG.
        experiment: who took part.
        rows: what was measured.
    """
    from simulation.plots import GREY, new_figure, save_figure  # matplotlib takes a second to import

    kinds = [kind for kind in dict.fromkeys(row.kind for row in rows) if kind != CENTRAL]
    title = f"Noise that {experiment.phones:,} phones add, {experiment.dimension:,} dimensions"
    figure, axes = new_figure(1, len(kinds), (4.2 * len(kinds) + 1, 4.2), title)
    epsilons = sorted({row.epsilon for row in rows})
    for axis, kind in zip(axes.flat, kinds, strict=True):
        axis.axhline(1, color=GREY, lw=1, ls="--", label=CENTRAL)
        for number, bits in enumerate(sorted({row.bits for row in rows if row.bits is not None})):
            _draw(axis, number, bits, [row for row in rows if (row.kind, row.bits) == (kind, bits)])
        axis.set(title=kind, xlabel="epsilon", xscale="log", yscale="log", xlim=(epsilons[0] / 1.2, epsilons[-1] * 1.2))
        axis.set_xticks(epsilons, [f"{epsilon:g}" for epsilon in epsilons])
        axis.set_xticks([], minor=True)
        axis.legend(fontsize=8, loc="upper right")
    top = max([1.25, *(axis.get_ylim()[1] for axis in axes.flat)])
    for axis in axes.flat:
        axis.set_ylim(0.8, top)
        ticks = [tick for tick in (1, 1.2, 1.5, 2, 3, 5, 10, 30, 100) if tick <= top]
        axis.set_yticks(ticks, [f"{tick:g}" for tick in ticks])
        axis.set_yticks([], minor=True)
    axes.flat[0].set_ylabel("mean squared error, central noise = 1")
    save_figure(figure, path)


def _draw(axis: Any, number: int, bits: int, rows: list[Measured]) -> None:
    from simulation.plots import style_number

    style = style_number(number)
    reached = [(row.epsilon, row.times_central) for row in rows if row.times_central is not None]
    label = f"{bits} bits"
    if len(reached) < len(rows):
        label += f", from epsilon {min(reached)[0]:g}" if reached else ", never"
    heights = [interval.mean for _, interval in reached]
    halves = [interval.half_width or 0.0 for _, interval in reached]
    axis.errorbar(
        [epsilon for epsilon, _ in reached],
        heights,
        yerr=halves,
        color=style.colour,
        marker=("o", "s", "^", "D")[number % 4],
        ms=4,
        lw=1.2,
        capsize=2,
        label=label,
    )
