"""Statistics of the synthetic population beside those of real phone messages.

    python scripts/describe_population.py --phones 1500

Targets: the NUS SMS corpus (Chen and Kan 2013), measured on phones held out from it.
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import annotated_types as at

from simulation.flags import parse_with_tyro
from simulation.tables import console_for


@dataclass(frozen=True)
class Flags:
    """Compare the synthetic population with real phone messages."""

    phones: Annotated[int, at.Ge(200)] = 1500
    """Phones to generate."""
    seed: Annotated[int, at.Ge(0), at.Lt(2**63)] = 0
    """Seed of the population."""


def main(argv: Sequence[str]) -> None:
    """Generate phones, measure their text, and print it beside real messages."""
    flags = parse_with_tyro(Flags, argv)
    from simulation.studies.population_statistics import comparison_table, measure_text  # takes a second to import

    console = console_for(sys.stdout)
    console.print(comparison_table(measure_text(flags.phones, flags.seed)))
