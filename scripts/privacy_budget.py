"""Plan a private run without training: give what you know, get the rest.

python scripts/privacy_budget.py --epsilon 8 --cohort 6500 --population 5000000 --rounds 2000
"""

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro
from rich.console import Console

from server_strategy.privacy.budget import BudgetRequest, solve
from simulation.files import write_text_atomically
from simulation.flags import parse_over, run_door
from simulation.settings import choose


@dataclass(frozen=True)
class BudgetFlags:
    """Plan a private run without training: give what you know, get the rest."""

    request: Annotated[BudgetRequest, tyro.conf.arg(name="")]
    poisson_counterfactual: bool = False
    """Add what epsilon would be if phones were sampled at random, labelled so."""
    output_dir: Path | None = None
    """Folder for budget.json and budget.png; only printed if not given."""


def parse(argv: list[str]) -> BudgetFlags:
    """Flags over defaults."""
    return parse_over(BudgetFlags, argv, choose(BudgetRequest(), {}), ("--poisson-counterfactual", "--output-dir"))


def main(flags: BudgetFlags) -> None:
    """Solve for what is not given, print the tables and write the files if asked to."""
    from simulation.studies import budget_report  # takes a second to import

    request = flags.request
    budget = solve(request)
    console = Console(width=None if sys.stdout.isatty() else 118, highlight=False)
    budget_report.print_answer(console, budget, request, flags.poisson_counterfactual)
    budgets = budget_report.compare(budget, request)
    budget_report.print_mechanisms(console, budgets)
    cohorts = budget_report.cohort_sizes(budgets, request)
    budget_report.print_cohorts(console, cohorts)
    if flags.output_dir is None:
        return
    flags.output_dir.mkdir(parents=True, exist_ok=True)
    content = {
        "answer": budget_report.as_json(budget, flags.poisson_counterfactual),
        "at_equal_rho": {
            name: b if isinstance(b, str) else budget_report.as_json(b, False) for name, b in budgets.items()
        },
        "cohorts": {name: [budget_report.as_json(b, False) for b in row] for name, row in cohorts.items()},
    }
    write_text_atomically(flags.output_dir / "budget.json", json.dumps(content, indent=2) + "\n")
    title = f"All mechanisms at epsilon {budget.epsilon:.3g} at delta {budget.delta:.2g}, {budget.rounds:,} rounds"
    budget_report.plot(flags.output_dir / "budget.png", budgets, cohorts, title)
    for name in ("budget.json", "budget.png"):
        console.print(str(flags.output_dir / name))


if __name__ == "__main__":
    sys.exit(run_door(lambda: main(parse(sys.argv[1:]))))
