"""Plan a private run without training: give what you know, get the rest.

python scripts/privacy_budget.py --epsilon 8 --cohort 6500 --population 5000000 --rounds 2000
"""

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from annotated_types import Ge, Gt, Le, Lt
from rich.console import Console

from server_strategy.privacy_budget import BudgetRequest, solve
from simulation.checkpoint import write_text_atomically
from simulation.config import ConfigError, check_bounds
from simulation.flags import parse_with_tyro, run_door


@dataclass(frozen=True)
class BudgetFlags:
    """Plan a private run without training: give what you know, get the rest."""

    mechanism: Literal["gaussian", "tree", "banded", "blt"] = "blt"
    """The mechanism that the answer is for; all of them are compared with it at equal cost."""
    epsilon: Annotated[float | None, Gt(0)] = None
    """Target, by Renyi orders."""
    rho: Annotated[float | None, Gt(0)] = None
    """Target in zCDP, instead of epsilon."""
    noise_multiplier: Annotated[float | None, Gt(0)] = None
    """Standard deviation of the draws over clip norm."""
    rounds: Annotated[int | None, Ge(1), Le(20_000)] = None
    """Releases."""
    cohort: Annotated[int | None, Ge(1)] = None
    """Reports a round."""
    population: Annotated[int | None, Ge(1)] = None
    """Phones."""
    min_separation_rounds: Annotated[int | None, Ge(1)] = None
    """A phone that took part in round i may next take part in round i plus this."""
    max_participations: Annotated[int | None, Ge(1)] = None
    """A phone takes part at most so often."""
    delta: Annotated[float | None, Gt(0), Lt(1)] = None
    """By default population^-1.1, at most 1e-6."""
    bands: Annotated[int | None, Ge(1)] = None
    """Of the banded mechanism; by default as many as the separation."""
    buffers: Annotated[int, Ge(1), Le(8)] = 3
    """Of the blt mechanism."""
    tree_restart_rounds: Annotated[int | None, Ge(1)] = None
    """Of the tree mechanism; by default one tree."""
    momentum: Annotated[float, Ge(0), Lt(1)] = 0.0
    """Of the server's SGD, which banded and blt are then optimised for."""
    poisson_counterfactual: bool = False
    """Add what epsilon would be if phones were sampled at random, labelled so."""
    output_dir: Path | None = None
    """Folder for budget.json and budget.png; only printed if not given."""


def main(flags: BudgetFlags) -> None:
    """Solve, print, write."""
    from simulation import budget_report  # takes a second to import

    check_bounds(flags)
    values = {name: value for name, value in vars(flags).items() if name in BudgetRequest.__dataclass_fields__}
    request = BudgetRequest(**values)
    try:
        budget = solve(request)
    except ValueError as error:
        raise ConfigError(str(error)) from error
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
    sys.exit(run_door(lambda: main(parse_with_tyro(BudgetFlags, sys.argv[1:])), (ConfigError, OSError)))
