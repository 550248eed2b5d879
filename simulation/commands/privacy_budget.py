"""Plan a private run without training: give what you know, get the rest.

python scripts/privacy_budget.py --epsilon 8 --cohort 6500 --population 5000000 --rounds 2000
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from server_strategy.privacy.budget import BudgetRequest
from simulation.flags import parse_over
from simulation.settings import choose
from simulation.tables import console_for


@dataclass(frozen=True)
class Flags:
    """Plan a private run without training: give what you know, get the rest."""

    request: Annotated[BudgetRequest, tyro.conf.arg(name="")]
    poisson_counterfactual: bool = False
    """Add what epsilon would be if phones were sampled at random, labelled so."""
    output_dir: Path | None = None
    """Folder for budget.json and budget.png; only printed if not given."""


def parse(argv: Sequence[str]) -> Flags:
    """Flags over defaults."""
    return parse_over(Flags, argv, choose(BudgetRequest(), {}), ("--poisson-counterfactual", "--output-dir"))


def main(argv: Sequence[str]) -> None:
    """Solve for what is not given, print the tables and write the files if asked to."""
    flags = parse(argv)
    from simulation.studies.budget_report import answer  # takes a second to import

    console = console_for(sys.stdout)
    for path in answer(console, flags.request, flags.poisson_counterfactual, flags.output_dir):
        console.print(str(path))
