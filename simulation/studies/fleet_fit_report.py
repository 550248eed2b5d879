"""What a fit of the built-in availability comes to: a configuration, and each figure beside the observed one."""

from dataclasses import asdict
from pathlib import Path

import tomli_w
from rich import box
from rich.console import Console
from rich.table import Table

from client_model.metrics.intervals import Interval, shown_half, why_so_wide
from simulation.files import write_text_atomically
from simulation.studies.fleet_fit import (
    Comparison,
    compare,
    fit_fleet,
    over_devices,
    over_fleets,
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


def fit_and_compare(console: Console, trace: Trace, held_out_share: float, output: Path, seeds: int = 1) -> bool:
    """Fit to a trace, write the settings, and print how they compare.

    Args:
        console: to print to.
        trace: of phones on their own clocks.
        held_out_share: of the devices; not fitted to, but compared with.
        output: file for the settings.
        seeds: fleets that are simulated to compare with.

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
    lines = print_comparison(console, f"{int(fitted_to.sum())} devices fitted to", used, habits, seeds)
    if held_out.any():
        unseen = some_looks(looks, held_out)
        print_comparison(console, f"{int(held_out.sum())} devices held out of the fit", unseen, habits, seeds)
    return not any(line.met is False for line in lines)


def print_comparison(console: Console, title: str, looks: Looks, habits: Habits, seeds: int = 1) -> list[Comparison]:
    """Each figure beside its target, and beside what the choice of devices alone does to it.

    Args:
        console: to print to.
        title: says which devices.
        looks: at them.
        habits: that were fitted.
        seeds: fleets that are simulated; several have an interval over their seeds.
    """
    observed = statistics(looks)
    by_seed = []
    for seed in range(1, seeds + 1):
        with step(f"comparing with what was observed{f', fleet {seed} of {seeds}' if seeds > 1 else ''}"):
            by_seed.append(compare(observed, simulated_statistics(habits, looks, seed=seed)))
    found = over_fleets(by_seed)
    rows = [
        _row(line, bounds, simulated)
        for (line, simulated), bounds in zip(found, over_devices(looks, observed), strict=True)
    ]
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, title=title, title_justify="left", title_style="bold")
    headings = ("", "observed", "95 % over\ndevices", "simulated", "tolerance")
    for name in headings:  # names of figures are long: they are broken between words where there is little room
        widest = max(map(len, name.splitlines()), default=0)
        table.add_column(name, justify="left" if name in ("", "tolerance") else "right", min_width=widest)
    for row in rows:
        table.add_row(*row)
    console.print(table)
    if seeds > 1:
        wide = why_so_wide(seeds)
        note = f"± half of the 95 % t-interval over {seeds} simulated fleets{f': {wide}' if wide else ''}."
        console.print(note, highlight=False)
    return [line for line, _ in found]


def _row(line: Comparison, bounds: tuple[float, float], simulated: Interval) -> tuple[str, ...]:
    digits, unit = (2, "") if line.unit == "" else (1, f" {line.unit}")
    half = "" if simulated.half_width is None else f" ± {shown_half(f'{simulated.half_width:.{digits}f}')}"
    values = (
        f"{line.observed:.{digits}f}{unit}",
        f"{bounds[0]:.{digits}f} to {bounds[1]:.{digits}f}",
        f"{line.simulated:.{digits}f}{half}{unit}",
    )
    what = {"%": "points", "h": "h"}.get(line.unit, "")
    tolerance = "" if line.tolerance is None else f"± {line.tolerance:g} {what}".rstrip()
    if line.relative and line.tolerance is not None:
        tolerance = f"± {line.tolerance:.0%} of it"
    return (line.name, *values, tolerance + {None: "", True: ": met", False: ": NOT MET"}[line.met])
