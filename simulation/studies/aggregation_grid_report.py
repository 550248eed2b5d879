"""What a grid of secure aggregation says: a table for each size of the cohort, a CSV, a JSON file and a plot."""

import csv
import io
import json
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import NullLocator
from rich.console import Console

from client_model.metrics.intervals import shown_half, why_so_wide
from server_strategy.aggregation.departures import WHY_FAILED
from simulation.config import RunConfig
from simulation.files import write_text_atomically
from simulation.flags import to_toml
from simulation.plots import GREY, new_figure, save_figure, style_number
from simulation.run.directory import check_output_dir, new_folder
from simulation.studies.aggregation_costs import machine_facts
from simulation.studies.aggregation_grid import FIGURES, Cell, Row, cells_of, play_grid
from simulation.studies.dry_run_settings import Grid, Protection
from simulation.tables import print_table
from typefleet.errors import ConfigError, expected

NAME = "aggregation_grid"
_WHY = {**WHY_FAILED, "too_few_reports": "too few reports"}
_HEADINGS = (
    *("sums", "neigh-\nbours", "thres-\nhold", "done\n%", "rounds\na day", "round\ns"),
    *("left\n%", "MB\nup", "MB\ndown", "crypto\ns"),
)
# Figure, factor and digits of the columns after the threshold.
_COLUMNS = (
    ("completed_share", 100.0, 1),
    ("rounds_per_day", 1.0, 0),
    ("round_s", 1.0, 0),
    ("left_share", 100.0, 2),
    ("upload_mb", 1.0, 2),
    ("download_mb", 1.0, 2),
    ("cryptography_s", 1.0, 2),
)
_WITH_INTERVAL = "rounds_per_day"  # on the terminal; the files have all
_LINES = ("-", "--", ":", "-.")
# Place, figure and factor of each panel; below, its title and unit.
_PANELS = (
    *(((0, 0), "completed_share", 100.0), ((0, 1), "rounds_per_day", 1.0), ((0, 2), "round_s", 1.0)),
    *(((1, 0), "upload_mb", 1.0), ((1, 1), "download_mb", 1.0), ((1, 2), "cryptography_s", 1.0)),
)
_TITLES = (
    ("Rounds that completed", "%"),
    ("Completed rounds", "a simulated day"),
    ("From the invitation to the end of a round", "seconds, median"),
    ("A phone sends", "MB a round"),
    ("A phone hears, with the model", "MB a round"),
    ("Cryptography of a phone, one thread here", "processor seconds"),
)
_WHOLE: dict[str, Any] = {"clip_on": False, "zorder": 3}  # markers at an edge of the axes are not cut in half
_WIDE = 8  # so many times as large as the smallest: on a scale of its own, the largest alone would be seen


def play_grid_and_report(
    console: Console, config: RunConfig, days: float, seeds: int, *, grid: Grid, protection: Protection
) -> list[Path]:
    """Play the cells, print the tables and write the files.

    Args:
        console: to print to.
        config: of the dry runs but for what the grid varies, with the folder for the files.
        days: simulated ones of each cell.
        seeds: fleets to play.
        grid: what is varied.
        protection: of phones that send one message; without any there is no such cell.

    Returns:
        The files.

    Raises:
        InputError: the settings or the files that they name cannot be used; nothing was written.
    """
    if config.output_dir is not None:
        check_output_dir(config.output_dir)
    cells = cells_of(config, grid, protection)
    if all(cell.why for cell in cells if cell.scheme == "secagg"):
        asked = "a graph that withstands what is assumed"
        raise ConfigError(expected("--grid.neighbours, thresholds", asked, f"none: {cells[-1].why}"))
    before = machine_facts()
    rows = play_grid(cells, days, seeds)
    facts = {**before, "load_1_min_after": machine_facts()["load_1_min"]}
    print_grid(console, rows, seeds)
    folder = new_folder(config.output_dir, "grid-")
    write_text_atomically(folder / "config.toml", to_toml(config))
    return [folder / "config.toml", *write_grid(folder, rows, facts, days=days, seeds=seeds)]


def print_grid(console: Console, rows: Sequence[Row], seeds: int) -> None:
    """A table for each size of the cohort, why rounds came to nothing, and what was left out.

    Args:
        console: to print to.
        rows: by `play_grid`.
        seeds: that they are over.
    """
    for phones, group in groupby(rows, lambda row: row.cell.phones):
        console.print(f"\n{phones:,} phones a round")
        print_table(console, _HEADINGS, [_shown(row) for row in group if not row.cell.why])
    console.print(
        "Done: rounds that completed. Round: median, from the invitation to its end. Left: of the phones that had "
        "trained, before their vectors were in the sum. MB: a phone's, with the model. Crypto: processor seconds of a "
        "phone, one thread here."
    )
    for scheme, (abandoned, number) in _causes(rows).items():
        causes = ", ".join(f"{times:,} {_WHY[cause]}" for cause, times in abandoned.most_common())
        if causes:
            console.print(f"{scheme}: of all {number:,} rounds came to nothing: {causes}")
    left_out = {f"{row.cell.phones:,} phones: {_safe(row.cell.why)}" for row in rows if row.cell.why}
    for one in sorted(left_out):
        console.print(f"Left out, {one}")
    if seeds > 1:
        wide = why_so_wide(seeds)
        console.print(f"±: half of the 95 % t-interval over {seeds} seeds{f'; {wide}' if wide else ''}.")


def _safe(why: str) -> str:
    return why.removeprefix("--aggregation.corrupted-share, dropout-share, neighbours, threshold: ")


def _causes(rows: Sequence[Row]) -> dict[str, tuple[Counter[str], int]]:
    """Why rounds came to nothing, and how many there were, over all cells of a scheme and latency."""
    found: dict[str, tuple[Counter[str], int]] = {}
    for row in rows:
        causes, rounds = found.get(_scheme(row.cell), (Counter[str](), 0))
        found[_scheme(row.cell)] = (causes + row.abandoned, rounds + row.rounds)
    return found


def _scheme(cell: Cell) -> str:
    return cell.scheme if cell.latency_s is None else f"{cell.latency_s:g} s a step"


def _shown(row: Row) -> list[str]:
    size = row.cell.size
    graph = ["-", "-"] if size is None else [f"{size.neighbours:,}", f"{size.threshold:,}"]
    return [_scheme(row.cell), *graph, *(_text(row, *column) for column in _COLUMNS)]


def _text(row: Row, name: str, factor: float, digits: int) -> str:
    found = row.over_seeds(name)
    if found is None:
        return "-"
    text = f"{factor * found.mean:,.{digits}f}"
    if name != _WITH_INTERVAL or found.half_width is None:
        return text
    return f"{text} ± {shown_half(f'{factor * found.half_width:.{digits}f}')}"


def write_grid(folder: Path, rows: Sequence[Row], facts: dict[str, Any], *, days: float, seeds: int) -> list[Path]:
    """aggregation_grid.csv, .json and .png in `folder`.

    Args:
        folder: that is there.
        rows: by `play_grid`.
        facts: of the machine that timed the cryptography.
        days: simulated ones of each cell.
        seeds: that the rows are over.
    """
    paths = [folder / f"{NAME}.{ending}" for ending in ("csv", "json", "png")]
    lines = [dict(_line(row)) for row in rows]
    text = io.StringIO()
    writer = csv.DictWriter(text, list(lines[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(lines)
    write_text_atomically(paths[0], text.getvalue())
    cells = [
        {**line, "why": line["why"] or None, "abandoned": dict(row.abandoned.most_common()), "by_seed": row.figures}
        for line, row in zip(lines, rows, strict=True)
    ]
    content = {"days": days, "seeds": seeds, "machine": facts, "cells": cells}
    write_text_atomically(paths[1], json.dumps(content, indent=2) + "\n")
    plot(paths[2], rows)
    return paths


def _line(row: Row) -> Iterator[tuple[str, Any]]:
    """A line of the CSV: the cell, and each figure with its bounds."""
    cell, size = row.cell, row.cell.size
    asked = cell.config.aggregation
    yield "phones", cell.phones
    yield "scheme", cell.scheme
    yield "step_latency_s", cell.latency_s
    yield "neighbours", asked.neighbours if size is None else size.neighbours
    yield "threshold", asked.threshold if size is None else size.threshold
    yield "least_survivors", None if size is None else size.least_survivors
    yield "rounds", row.rounds
    for name in FIGURES:
        found = row.over_seeds(name)
        yield name, None if found is None else found.mean
        yield f"{name}_low", None if found is None else found.low
        yield f"{name}_high", None if found is None else found.high
    yield "why", _safe(cell.why)


def plot(path: Path, rows: Sequence[Row]) -> None:
    """Success, rounds a day, seconds and cryptography over neighbours; a colour per cohort, a dash per latency.

    Args:
        path: of the PNG.
        rows: by `play_grid`.
    """
    figure, axes = new_figure(2, 3, (13, 7.4), "Rounds with secure aggregation, by neighbours of a phone")
    for (place, name, factor), said in zip(_PANELS, _TITLES, strict=True):
        _curves(axes[place], rows, name, factor, said)
    figure.legend(handles=_legend(rows), loc="outside lower center", ncols=4, fontsize=9)
    save_figure(figure, path)


def _curves(axis: Axes, rows: Sequence[Row], name: str, factor: float, said: tuple[str, str]) -> None:
    latencies = list(dict.fromkeys(row.cell.latency_s for row in rows if row.cell.latency_s is not None))
    for number, phones in enumerate(dict.fromkeys(row.cell.phones for row in rows)):
        colour = style_number(number).colour
        own = [row for row in rows if row.cell.phones == phones]
        for row in own:
            found = row.over_seeds(name)
            if row.cell.size is None and found is not None:
                dash = (0, (1, 2)) if row.cell.scheme == "plain" else (0, (6, 2, 1, 2))
                axis.axhline(factor * found.mean, color=colour, lw=0.9, ls=dash)
        for place, latency_s in enumerate(latencies):
            some = [row for row in own if row.cell.latency_s == latency_s and row.over_seeds(name) is not None]
            of_least = sorted((row for row in some if row.cell.threshold_is_least), key=_neighbours)
            points = [(_neighbours(row), factor * _mean(row, name)) for row in of_least]
            axis.plot(
                *zip(*points, strict=True), "o", ls=_LINES[place % len(_LINES)], color=colour, ms=4, lw=1.2, **_WHOLE
            )
            others = [(_neighbours(row), factor * _mean(row, name)) for row in some if row not in of_least]
            if others:
                axis.plot(*zip(*others, strict=True), "o", color=colour, ms=5, mfc="white", **_WHOLE)
    axis.set(title=said[0], ylabel=said[1], xlabel="neighbours", xscale="log")
    ticks = sorted({_neighbours(row) for row in rows if row.cell.size is not None})
    axis.set_xticks(ticks, [f"{tick:,}" for tick in ticks], fontsize=7, rotation=45)
    axis.xaxis.set_minor_locator(NullLocator())
    values = [found.mean for row in rows if (found := row.over_seeds(name)) is not None and found.mean]
    if values and max(values) > _WIDE * min(values):
        axis.set_yscale("log")
    else:
        axis.set_ylim(bottom=0)
    axis.yaxis.set_major_formatter("{x:,g}")


def _neighbours(row: Row) -> int:
    return 0 if row.cell.size is None else row.cell.size.neighbours


def _mean(row: Row, name: str) -> float:
    found = row.over_seeds(name)
    return float("nan") if found is None else found.mean


def _legend(rows: Sequence[Row]) -> list[Line2D]:
    cohorts = dict.fromkeys(row.cell.phones for row in rows)
    latencies = dict.fromkeys(row.cell.latency_s for row in rows if row.cell.latency_s is not None)
    handles = [Line2D([], [], color=style_number(n).colour, label=f"{p:,} phones") for n, p in enumerate(cohorts)]
    handles += [
        Line2D([], [], color=GREY, marker="o", ms=4, ls=_LINES[n % len(_LINES)], label=f"{one:g} s a step")
        for n, one in enumerate(latencies)
    ]
    if any(not row.cell.threshold_is_least for row in rows):
        handles.append(Line2D([], [], color=GREY, marker="o", mfc="white", ls="", label="higher thresholds"))
    handles.append(Line2D([], [], color=GREY, ls=(0, (1, 2)), label="without secure aggregation"))
    if any(row.cell.scheme == "one message" for row in rows):
        handles.append(Line2D([], [], color=GREY, ls=(0, (6, 2, 1, 2)), label="one message a phone"))
    return handles
