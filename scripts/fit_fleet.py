"""Fit the built-in model of availability to a trace: python scripts/fit_fleet.py TRACE -o fleet.toml

Prints each figure observed beside the one simulated. The result is a configuration:

    python scripts/simulate.py --config fleet.toml
"""

import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Literal

import annotated_types as at
import tomli_w
import tyro
from rich import box
from rich.console import Console
from rich.table import Table

from simulation.files import write_text_atomically
from simulation.flags import parse_with_tyro, run_door
from simulation.studies.fleet_fit import (
    Comparison,
    chance,
    compare,
    fit_fleet,
    simulated_statistics,
    some_looks,
    split_trace,
)
from simulation.studies.fleet_statistics import Looks, look_at_trace, statistics
from simulation.world.availability.model import Habits
from typefleet.errors import ConfigError, expected


@dataclass(frozen=True)
class FitFlags:
    """Fit the built-in model of availability to a trace."""

    trace: Annotated[Path, tyro.conf.Positional]
    """Intervals (.csv, .parquet), FLASH events (.json) or a FedScale pickle (.pkl); on the phones' own clocks."""
    output: Annotated[Path, tyro.conf.arg(aliases=["-o"])] = Path("fleet.toml")
    """Where to write the fitted settings."""
    coverage: Path | None = None
    """When each device of an interval file was observed; by default NAME_coverage beside NAME_intervals."""
    idle: Literal["screen-off", "locked", "either"] = "screen-off"
    """When a phone of FLASH events counts as idle."""
    held_out_share: Annotated[float, at.Ge(0), at.Le(0.9)] = 0.0
    """Fit to the others, and compare with this share of the devices too."""


def print_comparison(console: Console, title: str, looks: Looks, habits: Habits) -> list[Comparison]:
    """Each figure beside its target, and beside what the choice of devices alone does to it."""
    observed = statistics(looks)
    lines = compare(observed, simulated_statistics(habits, looks))
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, title=title, title_justify="left", title_style="bold")
    for name in ("", "observed", "by chance", "simulated", "tolerance", ""):
        table.add_column(name, justify="left" if name in ("", "tolerance") else "right")
    for line, deviation in zip(lines, chance(looks, observed), strict=True):
        digits = 2 if line.unit == "" else 1
        values = [f"{v:.{digits}f} {line.unit}".rstrip() for v in (line.observed, deviation, line.simulated)]
        values[1] = f"+- {values[1]}"
        unit = {"%": "points", "h": "h"}.get(line.unit, "")
        tolerance = "" if line.tolerance is None else f"+- {line.tolerance:g} {unit}".rstrip()
        if line.relative and line.tolerance is not None:
            tolerance = f"+- {line.tolerance:.0%} of it"
        table.add_row(line.name, *values, tolerance, {None: "", True: "met", False: "NOT MET"}[line.met])
    console.print(table)
    return lines


def fit(flags: FitFlags) -> int:
    """Fit, write, compare; 1 if a tolerance is not met on the devices fitted to."""
    if flags.idle != "screen-off" and flags.trace.suffix != ".json":
        raise ConfigError(expected("--idle", "only with events of FLASH (.json)", f"it with {flags.trace.name}"))
    if not flags.output.absolute().parent.is_dir():
        raise ConfigError(expected("--output", "an existing folder", f"none at {flags.output.absolute().parent}"))
    console = Console(width=None if sys.stdout.isatty() else 110)
    from simulation.world.traces.reader import read_trace  # half a second, for Arrow's tables

    trace = read_trace(flags.trace, flags.coverage, idle=flags.idle)
    looks = look_at_trace(trace)
    fitted_to, held_out = split_trace(trace, flags.held_out_share)
    if not fitted_to.any():
        raise ConfigError(expected(flags.trace, "devices to fit to", "none left"))
    used = some_looks(looks, fitted_to)
    console.print(f"{trace.source}: {len(trace.device_ids):,} devices, {len(trace.start_s):,} eligible sessions")
    habits = fit_fleet(used, lambda text: console.print(f"fitting: {text}"))
    tree = {"fleet": {name: list(v) if isinstance(v, tuple) else v for name, v in asdict(habits).items()}}
    write_text_atomically(
        flags.output, f"# Fitted to {flags.trace.name} by scripts/fit_fleet.py\n\n" + tomli_w.dumps(tree)
    )
    lines = print_comparison(console, f"{int(fitted_to.sum())} devices fitted to", used, habits)
    if held_out.any():
        unseen = some_looks(looks, held_out)
        print_comparison(console, f"{int(held_out.sum())} devices held out of the fit", unseen, habits)
    console.print(f"{flags.output}: use it with  python scripts/simulate.py --config {flags.output}")
    return int(any(line.met is False for line in lines))


if __name__ == "__main__":
    sys.exit(run_door(lambda: fit(parse_with_tyro(FitFlags, sys.argv[1:]))))
