"""Play weeks of rounds of a fleet without training: python scripts/fleet_dry_run.py --fleet.size 1000000

Takes the settings of scripts/simulate.py, by flags or --config; flags for what only training needs are refused.
Prints tables, and writes them, each round's record, and a page of plots.
"""

import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import annotated_types as at
import tyro
from rich.console import Console

from simulation.clock import DAY_S
from simulation.config import RunConfig, check
from simulation.files import write_text_atomically
from simulation.flags import parse_with_settings, run_door, to_toml
from simulation.run.directory import check_output_dir, new_folder
from simulation.studies.dry_run import DryRun, ignores, prepare_dry_run, run_days


@dataclass(frozen=True)
class DryRunFlags:
    """Play weeks of rounds of a fleet without training."""

    run: Annotated[RunConfig, tyro.conf.arg(name="")]
    days: Annotated[float, at.Gt(0), at.Le(3660)] = 14.0
    """Simulated days to play."""
    config: Path | None = None
    """TOML file with the settings of a simulation."""


def parse(argv: list[str]) -> DryRunFlags:
    """Flags over file over defaults."""
    flags = parse_with_settings(DryRunFlags, argv, ("--config", "--days"), ignores)
    check(flags.run)
    return flags


def main(flags: DryRunFlags) -> None:
    """Play the rounds, print the figures and write the files of a dry run."""
    from simulation.studies.dry_run_report import (  # takes a second to import
        dry_run_summary,
        print_summary,
        write_report,
    )

    console = Console(width=None if sys.stdout.isatty() else 118, highlight=False)
    config = flags.run
    if config.output_dir is not None:
        check_output_dir(config.output_dir)
    console.print("preparing the fleet")
    run, cohorts = prepare_dry_run(config)
    console.print(f"{run.fleet.num_phones:,} phones; availability: {run.fleet.origin}")
    folder = new_folder(config.output_dir, "fleet-")
    write_text_atomically(folder / "config.toml", to_toml(config))
    said = [time.monotonic()]

    def tick(now: DryRun) -> None:
        if time.monotonic() - said[0] > 5:
            said[0] = time.monotonic()
            console.print(f"day {now.simulated_s / DAY_S:.1f} of {flags.days:g}, {len(now.rounds):,} rounds")

    run_days(config, run, cohorts, flags.days, tick)
    summary = dry_run_summary(run, config.cohort)
    title = f"{run.fleet.num_phones:,} phones, goal {config.cohort.goal:,}, {config.cohort.policy} rounds"
    print_summary(console, summary, run.fleet.num_phones)
    for path in write_report(folder, run, summary, title):
        console.print(str(path))


if __name__ == "__main__":
    sys.exit(run_door(lambda: main(parse(sys.argv[1:]))))
