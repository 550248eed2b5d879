"""Fit the built-in model of availability to a trace: python scripts/fit_fleet.py TRACE -o fleet.toml

Prints each figure observed, with its interval over the devices (bootstrap), beside the one simulated. The result is a
configuration:

    python scripts/simulate.py --config fleet.toml
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import annotated_types as at
import tyro

from simulation.flags import parse_with_tyro
from simulation.subcommands import command
from simulation.tables import console_for
from typefleet.errors import ConfigError, expected
from typefleet.untrusted.limits import STUDY_SETTINGS


@dataclass(frozen=True)
class Flags:
    """Fit the built-in model of availability to a trace."""

    trace: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="TRACE")]
    """Intervals (.csv, .parquet), FLASH events (.json) or a FedScale pickle (.pkl); on the phones' own clocks."""
    output: Annotated[Path, tyro.conf.arg(aliases=["-o"])] = Path("fleet.toml")
    """Where to write the fitted settings."""
    coverage: Path | None = None
    """When each device of an interval file was observed; by default NAME_coverage beside NAME_intervals."""
    idle: Literal["screen-off", "locked", "either"] = "screen-off"
    """When a phone of FLASH events counts as idle."""
    held_out_share: Annotated[float, at.Ge(0), at.Le(0.9)] = 0.0
    """Fit to the others, and compare with this share of the devices too."""
    seeds: Annotated[int, at.Ge(1), at.Le(STUDY_SETTINGS)] = 1
    """Fleets that are simulated to compare with, each with a seed of its own; of two or more, with a 95 % interval."""


def main(argv: Sequence[str]) -> int:
    """Fit, write, compare; 1 if a tolerance is not met on the devices fitted to."""
    flags = parse_with_tyro(Flags, argv)
    if flags.idle != "screen-off" and flags.trace.suffix.lower() != ".json":
        raise ConfigError(expected("--idle", "only with events of FLASH (.json)", f"it with {flags.trace.name}"))
    from simulation.studies.fleet_fit_report import fit_and_compare, require_folder  # takes a second to import
    from simulation.world.traces.reader import read_trace

    require_folder(flags.output)
    console = console_for(sys.stdout)
    trace = read_trace(flags.trace, flags.coverage, idle=flags.idle)
    met = fit_and_compare(console, trace, flags.held_out_share, flags.output, flags.seeds)
    console.print(f"{flags.output}: use it with  {command('scripts/simulate.py', '--config', flags.output)}")
    return 0 if met else 1
