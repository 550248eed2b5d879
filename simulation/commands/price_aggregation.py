"""Show what it costs that the server sees no single update: seconds and bytes per phone, beside plain sums.

    python scripts/price_aggregation.py --presets small --cohorts 8

Nothing is trained. Homomorphic encryption takes the extra `he`; without it those rows are left out.
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import annotated_types as at

from simulation.flags import parse_with_tyro
from simulation.tables import console_for
from typefleet.errors import ConfigError, expected


@dataclass(frozen=True)
class Flags:
    """Show what it costs that the server sees no single update."""

    presets: tuple[Literal["small", "large", "gboard"], ...] = ("small", "gboard")
    """Models, by their sizes."""
    cohorts: Annotated[tuple[int, ...], at.Ge(1), at.Le(4096)] = (8, 64)
    """Phones that a sum has to hold."""
    schemes: tuple[Literal["plain", "secagg", "secagg16", "bfv", "ckks"], ...] = (
        *("plain", "secagg", "secagg16"),
        *("bfv", "ckks"),
    )
    """plain: nothing is hidden. secagg: masks that cancel in the sum; secagg16: of 16 bits a coordinate, with noise of
    phones. bfv: encrypted, the sum exact. ckks: encrypted, the sum with a small error."""
    played: Annotated[int, at.Ge(1), at.Le(4096)] = 16
    """Phones of each cohort that encrypt an update here, at most; figures are per phone."""
    ckks_error: Annotated[float, at.Gt(0), at.Lt(1)] = 2.0**-24
    """Error of a coordinate of the sum under ckks, at most, as a share of the clip norm."""
    seed: Annotated[int, at.Ge(0), at.Lt(2**63)] = 0
    """Of the updates, which are made up."""
    output_dir: Path | None = None
    """New folder for the table (CSV, JSON) and the plot; by default one in runs/, named by date and time."""


def main(argv: Sequence[str]) -> None:
    """Measure, print and write."""
    flags = parse_with_tyro(Flags, argv)
    for name in ("presets", "cohorts", "schemes"):
        given = getattr(flags, name)
        if not given or len(set(given)) < len(given):
            found = " ".join(map(str, given)) or "none"
            raise ConfigError(expected(f"--{name}", "at least one, each once", found))
    from simulation.studies.aggregation_costs import Plan  # takes a second to import
    from simulation.studies.aggregation_costs_report import price_and_report

    plan = Plan(
        presets=flags.presets,
        cohorts=flags.cohorts,
        schemes=flags.schemes,
        played=flags.played,
        tolerance=flags.ckks_error,
        seed=flags.seed,
    )
    console = console_for(sys.stdout)
    for path in price_and_report(console, plan, flags.output_dir):
        console.print(str(path))
