"""Compare the privacy mechanisms at equal epsilon: python scripts/compare_mechanisms.py [--quick]

Runs every mechanism, and none, on the chats of the default run, each with three seeds; prints a table and writes a
plot of recall against epsilon. An hour on two cores, three minutes with --quick. Finished runs are kept, so a
comparison that was stopped goes on with the same --output-dir.
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

import annotated_types as at

from simulation.flags import parse_with_tyro
from simulation.tables import console_for
from typefleet.untrusted.limits import STUDY_SETTINGS


@dataclass(frozen=True)
class Flags:
    """Compare the privacy mechanisms at equal epsilon."""

    quick: bool = False
    """Fewer rounds, one epsilon and one seed; too short for small differences."""
    epsilons: Annotated[tuple[float, ...], at.Gt(0)] = ()
    """Instead of those of the script."""
    seeds: Annotated[int | None, at.Ge(1), at.Le(STUDY_SETTINGS)] = None
    """Runs of each case, of the seeds 0, 1, ..., which hold other people out; 3 if not given, with --quick 1."""
    metrics: tuple[str, ...] = ()
    """Metrics to measure and show beside the built-in ones."""
    account: Path | None = None
    """Privacy account that every run is charged on, with noise of its own that no seed repeats; the run without any
    noise then leaves it without a bound."""
    output_dir: Path = Path("runs/comparison")
    """Folder for the runs, comparison.json and comparison.png."""


def main(argv: Sequence[str]) -> None:
    """Run what is missing, print, write."""
    flags = parse_with_tyro(Flags, argv)
    from client_model.metrics.table import metric_table
    from simulation.studies import mechanism_comparison as comparison  # takes a second to import

    settings = comparison.QUICK if flags.quick else comparison.SETTINGS
    settings = replace(settings, evaluation=replace(settings.evaluation, metrics=flags.metrics))
    if flags.account is not None:
        own_noise = replace(settings.privacy, account=flags.account.absolute(), noise_source="secret")
        settings = replace(settings, privacy=own_noise)
    metrics = metric_table(flags.metrics)
    epsilons = flags.epsilons or (comparison.QUICK_EPSILONS if flags.quick else comparison.EPSILONS)
    usual = comparison.QUICK_SEEDS if flags.quick else comparison.SEEDS
    seeds = usual if flags.seeds is None else tuple(range(flags.seeds))
    console = console_for(sys.stdout)
    outcomes = []
    for outcomes in comparison.play(flags.output_dir, settings, epsilons, console.print, seeds):
        comparison.write_outcomes(flags.output_dir, outcomes)
    comparison.print_outcomes(console, outcomes, metrics)
    for name in ("comparison.json", "comparison.png"):
        console.print(str(flags.output_dir / name))
