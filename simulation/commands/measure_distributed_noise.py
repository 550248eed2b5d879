"""Measure what it costs that phones add the noise themselves: python scripts/measure_distributed_noise.py

Estimates means of made-up vectors with noise of each kind, in rings of few and many bits, beside central noise at the
same epsilon; prints a table and writes a plot. Nothing is trained.
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import annotated_types as at

from simulation.flags import parse_with_tyro
from simulation.tables import console_for
from typefleet.errors import ConfigError, expected
from typefleet.untrusted.limits import STUDY_SETTINGS

_MOST_NUMBERS = 2**28  # in the vectors of a draw: 3 GB of memory


@dataclass(frozen=True)
class Flags:
    """Measure what it costs that phones add the noise themselves."""

    phones: Annotated[int, at.Ge(2), at.Le(100_000)] = 100
    """Phones in a round."""
    dimension: Annotated[int, at.Ge(1), at.Le(2**22)] = 2**13
    """Weights of an update."""
    bits: Annotated[tuple[int, ...], at.Ge(12), at.Le(32)] = (12, 14, 16, 18)
    """Bits of the rings that are compared; a phone sends so many per coordinate."""
    epsilons: Annotated[tuple[float, ...], at.Gt(0)] = (0.25, 0.5, 1.0, 2.0, 4.0, 8.0)
    """Of one participation, each reached with the least noise."""
    delta: Annotated[float, at.Gt(0), at.Lt(1)] = 1e-5
    """Delta of (epsilon, delta)."""
    lost_share: Annotated[float, at.Ge(0), at.Lt(1)] = 0.0
    """Share of the phones that are lost before they send."""
    threshold_share: Annotated[float, at.Gt(0), at.Le(1)] = 1.0
    """Share of the phones whose noise is enough for epsilon; a round with fewer fails."""
    deviations: Annotated[float, at.Ge(0.1), at.Le(20)] = 4.0
    """The ring has room for so many standard deviations of the sum to each side; beyond, it wraps around."""
    block: Annotated[int | None, at.Ge(1)] = None
    """Coordinates that are rotated together, a power of 2; by default all, which are padded to a power of 2."""
    expected: bool = False
    """Compute the error that is to be expected, and draw nothing: in seconds, for any number of weights."""
    seeds: Annotated[int, at.Ge(1), at.Le(STUDY_SETTINGS)] = 5
    """Draws of vectors and noise; of two or more, figures have 95 % intervals."""
    output_dir: Path = Path("runs/distributed-noise")
    """Folder for distributed_noise.json and distributed_noise.png."""


def main(argv: Sequence[str]) -> None:
    """Measure, print, write."""
    flags = parse_with_tyro(Flags, argv)
    for name in ("bits", "epsilons"):
        if not getattr(flags, name):
            raise ConfigError(expected(f"--{name}", "at least one number", "none"))
    if not flags.expected and flags.phones * flags.dimension > _MOST_NUMBERS:
        at_most = f"at most {_MOST_NUMBERS:,} / --phones = {_MOST_NUMBERS // flags.phones:,}, or --expected"
        raise ConfigError(expected("--dimension", at_most, f"{flags.dimension:,}"))
    lost = round(flags.lost_share * flags.phones)
    threshold = max(1, round(flags.threshold_share * flags.phones))
    if flags.phones - lost < threshold:
        at_most = f"at most 1 - --threshold-share = {1 - flags.threshold_share:.4g}, or the round fails"
        raise ConfigError(expected("--lost-share", at_most, f"{flags.lost_share:g}"))
    from simulation.run.directory import check_can_be_written
    from simulation.studies import distributed_noise as study  # takes a second to import
    from simulation.studies.distributed_noise_report import print_measured, write_measured

    check_can_be_written(flags.output_dir)

    experiment = study.Experiment(
        phones=flags.phones,
        dimension=flags.dimension,
        delta=flags.delta,
        deviations=flags.deviations,
        threshold=threshold,
        survivors=flags.phones - lost,
        block=flags.block,
    )
    try:
        if flags.expected:
            rows = study.expect(experiment, flags.bits, flags.epsilons)
        else:
            rows = study.measure(experiment, flags.bits, flags.epsilons, range(flags.seeds))
    except ConfigError as error:
        raise ConfigError(f"--{error}") from error
    console = console_for(sys.stdout)
    print_measured(console, experiment, rows)
    for path in write_measured(flags.output_dir, experiment, rows):
        console.print(str(path))
