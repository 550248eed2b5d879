"""What the price of a hidden sum says: a table per model and cohort, a CSV, a JSON file and a plot."""

import csv
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from itertools import groupby
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from rich.console import Console

from simulation.files import write_text_atomically
from simulation.plots import new_figure, save_figure, style_number
from simulation.run.directory import check_output_dir, new_folder
from simulation.studies.aggregation_costs import LABELS, SCHEMES, Cost, Plan, Spread, machine_facts, measure_costs
from simulation.subcommands import command
from simulation.tables import print_table

NAME = "aggregation_costs"
_TIMES = ("protect_s", "add_s", "open_s")


def price_and_report(console: Console, plan: Plan, output_dir: Path | None) -> list[Path]:
    """Measure, print the tables and write the files.

    Args:
        console: to print to.
        plan: what is measured.
        output_dir: new folder for the files; one in runs/ if None.

    Returns:
        The files.

    Raises:
        ConfigError: the settings, or the folder, cannot be used; nothing was written.
    """
    if output_dir is not None:
        check_output_dir(output_dir)
    before = machine_facts()
    costs = measure_costs(plan)
    facts = {**before, "load_1_min_after": machine_facts()["load_1_min"]}
    folder = new_folder(output_dir, "costs-")
    print_costs(console, costs, facts)
    return write_costs(folder, costs, facts)


def print_costs(console: Console, costs: Sequence[Cost], facts: Mapping[str, Any]) -> None:
    """A table for each model and cohort, what is missing and why, and on what it was measured.

    Args:
        console: to print to.
        costs: the rows.
        facts: by `machine_facts`.
    """
    headings = ("scheme", "MB up", "MB down", "protect, s", "add, s", "open, s", "server MB", "error")
    for (preset, weights, phones), group in groupby(costs, lambda one: (one.preset, one.weights, one.phones)):
        rows = [one for one in group if not one.why]
        if rows:
            console.print(f"\n{preset}: {weights:,} weights, {phones:,} phones")
            print_table(console, headings, [_shown(one) for one in rows])
    for why in dict.fromkeys(one.why for one in costs if one.why):
        left = dict.fromkeys(LABELS[one.scheme] for one in costs if one.why == why)
        console.print(f"Left out: {', '.join(left)}. {why}")
    console.print(_how(costs, facts))
    if (example := next((one for one in costs if one.scheme != "plain" and not one.why), None)) is not None:
        console.print(f"What it does to rounds, here of {LABELS[example.scheme]}:")
        console.print(_dry_run(example), soft_wrap=True)


def _shown(one: Cost) -> list[str]:
    times = (_time(getattr(one, name)) for name in _TIMES)
    error = "exact" if one.is_exact else "-" if one.error is None else f"{one.error:.1e}"
    memory = "-" if one.summing_peak_mb is None else f"{one.summing_peak_mb + (one.kept_messages_mb or 0.0):,.1f}"
    return [LABELS[one.scheme], f"{one.upload_mb:,.2f}", f"{one.download_mb:,.2f}", *times, memory, error]


def _time(spread: Spread | None) -> str:
    if spread is None:
        return "-"
    if spread.high < 5e-5:
        return "< 0.0001"
    return f"{_seconds(spread.median)} ({_seconds(spread.low)}-{_seconds(spread.high)})"


def _seconds(value: float) -> str:
    return f"{value:.{2 if value >= 0.095 else 3 if value >= 0.0095 else 4}f}"


def _how(costs: Sequence[Cost], facts: Mapping[str, Any]) -> str:
    text = (
        "MB and seconds per phone and round, median and range of processor seconds in one thread; open: whoever reads "
        "the sum, once a round; server MB: the most that it holds while it adds all of them up. "
        f"{facts['processor']}, {facts['cores']} cores, load {facts['load_1_min']:g} to "
        f"{facts['load_1_min_after']:g}."
    )
    encrypted = [one for one in costs if one.error_bound is not None]
    if not encrypted:
        return text
    played, bound = max(one.played for one in encrypted), max(one.error_bound or 0.0 for one in encrypted)
    text = f"{text} Phones that encrypted, and whose sum was held to the plain one: at most {played} of a cohort."
    return f"{text} Error: of a coordinate, over the clip norm; stated: at most {bound:.1e}." if bound else text


def _dry_run(one: Cost) -> str:
    plain_mb = 4e-6 * one.weights
    given = {
        "upload-mb": max((one.upload_mb or 0) - plain_mb, 0),
        "download-mb": max((one.download_mb or 0) - plain_mb, 0),
        "compute-s": 0.0 if one.protect_s is None else one.protect_s.median,
    }
    flags = [word for name, value in given.items() for word in (f"--protection.{name}", f"{value:.3g}")]
    sizes = ("--model.preset", one.preset, "--cohort.goal", one.phones)
    return command("scripts/fleet_dry_run.py", *sizes, *flags)


def write_costs(folder: Path, costs: Sequence[Cost], facts: Mapping[str, Any]) -> list[Path]:
    """aggregation_costs.csv, .json and .png in `folder`.

    Args:
        folder: that is there.
        costs: the rows.
        facts: by `machine_facts`.
    """
    paths = [folder / f"{NAME}.{ending}" for ending in ("csv", "json", "png")]
    rows = [_flat(one) for one in costs]
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_text_atomically(paths[0], text.getvalue())
    content = {"machine": dict(facts), "costs": [{**row, "why": row["why"] or None} for row in rows]}
    write_text_atomically(paths[1], json.dumps(content, indent=2) + "\n")
    plot(paths[2], costs)
    return paths


def _flat(one: Cost) -> dict[str, Any]:
    """A row of the CSV; a spread is four columns."""
    row: dict[str, Any] = {}
    for name, value in asdict(one).items():
        if name in _TIMES:
            spread: Spread | None = getattr(one, name)
            what = name.removesuffix("_s")
            parts = (None,) * len(Spread._fields) if spread is None else spread
            names = (f"{what}_median_s", f"{what}_low_s", f"{what}_high_s", f"{what}_repetitions")
            row |= dict(zip(names, parts, strict=True))
        else:
            row[name] = value
    return row


def plot(path: Path, costs: Sequence[Cost]) -> None:
    """Bytes up and seconds per phone of each scheme, a group of bars per model, at the largest cohort.

    Args:
        path: of the PNG.
        costs: the rows.
    """
    largest = max(one.phones for one in costs)
    rows = [one for one in costs if one.phones == largest and not one.why]
    figure, axes = new_figure(1, 2, (10, 3.8), f"What it costs to hide each update in a sum of {largest:,} phones")
    _bars(axes[0, 0], rows, "Upload per phone and round", "MB", "upload_mb")
    _bars(axes[0, 1], rows, "Protecting an update, one thread here", "processor seconds", "protect_s")
    save_figure(figure, path)


def _bars(axis: Axes, rows: Sequence[Cost], title: str, unit: str, what: str) -> None:
    presets = list(dict.fromkeys(one.preset for one in rows))
    schemes = [name for name in SCHEMES if any(one.scheme == name for one in rows)]
    width = 0.8 / len(schemes)
    for place, scheme in enumerate(schemes):
        own = {one.preset: getattr(one, what) for one in rows if one.scheme == scheme}
        values = [value.median if isinstance(value := own.get(preset), Spread) else value for preset in presets]
        at = [number + (place - (len(schemes) - 1) / 2) * width for number in range(len(presets))]
        heights = [value or 0.0 for value in values]
        style = style_number(SCHEMES.index(scheme))
        bars = axis.bar(at, heights, 0.92 * width, color=style.colour, label=LABELS[scheme])
        axis.bar_label(bars, ["0" if value is None else f"{value:.3g}" for value in values], padding=2, fontsize=8)
    weights = {one.preset: one.weights for one in rows}
    axis.set_xticks(range(len(presets)), [f"{preset}\n{weights[preset]:,} weights" for preset in presets])
    axis.set(title=title, ylabel=unit)
    axis.margins(y=0.12)
    axis.legend(fontsize=8)
