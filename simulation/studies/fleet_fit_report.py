"""What a fit of the built-in availability comes to: a configuration, and each figure beside the observed one."""

from dataclasses import asdict
from pathlib import Path

import tomli_w
from rich import box
from rich.console import Console
from rich.table import Table

from simulation.files import write_text_atomically
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
from simulation.world.traces.trace import Trace
from typefleet.errors import ConfigError, expected
from typefleet.steps import step


def require_folder(output: Path) -> None:
    """Refuse early an output that could not be written.

    Raises:
        ConfigError: its folder does not exist.
    """
    if not output.absolute().parent.is_dir():
        raise ConfigError(expected("--output", "an existing folder", f"none at {output.absolute().parent}"))


def fit_and_compare(console: Console, trace: Trace, held_out_share: float, output: Path) -> bool:
    """Fit to a trace, write the settings, and print how they compare.

    Args:
        console: to print to.
        trace: of phones on their own clocks.
        held_out_share: of the devices; not fitted to, but compared with.
        output: file for the settings.

    Returns:
        Whether every tolerance is met on the devices fitted to.

    Raises:
        ConfigError: no device is left to fit to; nothing was written.
    """
    looks = look_at_trace(trace)
    fitted_to, held_out = split_trace(trace, held_out_share)
    if not fitted_to.any():
        raise ConfigError(expected(trace.source, "devices to fit to", "none left"))
    used = some_looks(looks, fitted_to)
    console.print(f"{trace.source}: {len(trace.device_ids):,} devices, {len(trace.start_s):,} eligible sessions")
    habits = fit_fleet(used)
    tree = {"fleet": {name: list(v) if isinstance(v, tuple) else v for name, v in asdict(habits).items()}}
    write_text_atomically(output, f"# Fitted to {trace.source} by scripts/fit_fleet.py\n\n" + tomli_w.dumps(tree))
    lines = print_comparison(console, f"{int(fitted_to.sum())} devices fitted to", used, habits)
    if held_out.any():
        unseen = some_looks(looks, held_out)
        print_comparison(console, f"{int(held_out.sum())} devices held out of the fit", unseen, habits)
    return not any(line.met is False for line in lines)


def print_comparison(console: Console, title: str, looks: Looks, habits: Habits) -> list[Comparison]:
    """Each figure beside its target, and beside what the choice of devices alone does to it."""
    observed = statistics(looks)
    with step("comparing with what was observed"):
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
