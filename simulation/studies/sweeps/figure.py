"""A sweep as a figure: what each setting reaches, against each thing that was searched over."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from simulation.plots import (
    BLUE,
    COLUMN_IN,
    GREEN,
    ORANGE,
    TWO_COLUMNS_IN,
    for_print,
    new_figure,
    save_figure,
    save_for_print,
)
from simulation.studies.sweeps.results import SweepResult, TrialResult
from simulation.studies.sweeps.study_file import Choices, Range, Study, Value

_COLOURS, _MARKERS = (BLUE, ORANGE, GREEN, "#E69F00", "#56B4E9", "#000000"), "osD^vP"
_MOST_GROUPS = len(_COLOURS)


def plot_sweep(folder: Path, study: Study, result: SweepResult) -> list[Path]:
    """Write sweep.png to look at, and sweep.svg and sweep.pdf to print, as wide as a column or as two.

    Args:
        folder: for the files.
        study: what was asked.
        result: what was found, with a finished trial.

    Returns:
        The paths.
    """
    shown = folder / "sweep.png"
    save_figure(_figure(study, result), shown)
    with for_print():
        printed = save_for_print(_figure(study, result), folder, "sweep")
    return [shown, *printed]


def _figure(study: Study, result: SweepResult) -> Figure:
    """One panel for each setting that was searched over, one colour for each value of another."""
    done = [trial for trial in result.trials if trial.reached is not None]
    names, metric = list(result.names), result.metric
    columns = min(len(names), 2)
    rows = -(-len(names) // columns)
    figure, axes = new_figure(rows, columns, (COLUMN_IN if columns == 1 else TWO_COLUMNS_IN, 2.8 * rows), "")
    for axis in axes.flat[len(names) :]:
        axis.set_axis_off()
    for axis, name in zip(axes.flat[: len(names)], names, strict=True):
        by = _grouping(names, name, done)
        places = _places(study, name, done)
        for group, (value, trials) in enumerate(_groups(by, done)):
            _draw(axis, trials, name, places, group=group, label="" if by is None else _text(value))
        axis.set(xlabel=_last(name), ylabel=metric.short or metric.label)
        if metric.unit == "percent":
            axis.yaxis.set_major_formatter(FuncFormatter(lambda share, _: f"{100 * share:.1f} %"))
        if places is not None:
            axis.set_xticks(range(len(places)), [_text(value) for value in places])
            axis.margins(x=0.15)
        elif _is_log(study, name, done):
            axis.set_xscale("log")
            axis.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        if isinstance(study.search[name], Choices) and places is None:
            tried = sorted({trial.setting[name] for trial in done})
            axis.set_xticks(tried, [_text(value) for value in tried])
            axis.set_xticks([], minor=True)
        if by is not None:  # above, where no bar is
            close = {"columnspacing": 1.0, "handlelength": 1.6, "handletextpad": 0.4}
            axis.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), title=_last(by), ncols=3, frameon=False, **close)
    return figure


def _draw(
    axis: Any, trials: Sequence[TrialResult], name: str, places: Sequence[Value] | None, *, group: int, label: str
) -> None:
    trials = sorted(trials, key=lambda trial: _place(trial.setting[name], places))
    x = np.array([_place(trial.setting[name], places) for trial in trials], float)
    if places is not None:
        x += 0.06 * group  # beside each other, so that bars do not hide bars
    y = np.array([trial.reached.mean for trial in trials if trial.reached])
    halves = [(trial.reached.half_width if trial.reached else None) or 0.0 for trial in trials]
    joined = len(set(x.tolist())) == len(x) and places is None
    style = {"color": _COLOURS[group % len(_COLOURS)], "marker": _MARKERS[group % len(_MARKERS)], "ms": 4, "capsize": 2}
    axis.errorbar(x, y, yerr=halves, ls="-" if joined else "", lw=1, label=label or None, **style)


def _place(value: Value, places: Sequence[Value] | None) -> float:
    return float(places.index(value)) if places is not None else float(value)


def _places(study: Study, name: str, done: Sequence[TrialResult]) -> list[Value] | None:
    """The values of a setting that has no scale, in their order; None of numbers."""
    dimension = study.search[name]
    values = [trial.setting[name] for trial in done]
    if isinstance(dimension, Range) or all(isinstance(v, int | float) and not isinstance(v, bool) for v in values):
        return None
    return list(dict.fromkeys(dimension.values))


def _is_log(study: Study, name: str, done: Sequence[TrialResult]) -> bool:
    dimension = study.search[name]
    if isinstance(dimension, Range):
        return dimension.log
    values = [float(trial.setting[name]) for trial in done]
    return bool(values) and min(values) > 0 and max(values) / min(values) >= 8


def _grouping(names: Sequence[str], x: str, done: Sequence[TrialResult]) -> str | None:
    """The other setting that colours tell apart: the one with the fewest values, if that is few."""
    others = {name: len({trial.setting[name] for trial in done}) for name in names if name != x}
    few = {name: number for name, number in others.items() if 1 < number <= _MOST_GROUPS}
    return min(few, key=lambda name: few[name]) if few else None


def _groups(by: str | None, done: Sequence[TrialResult]) -> list[tuple[Value, list[TrialResult]]]:
    if by is None:
        return [("", list(done))]
    values = dict.fromkeys(trial.setting[by] for trial in done)
    return [(value, [trial for trial in done if trial.setting[by] == value]) for value in values]


def _last(name: str) -> str:
    return name.split(".")[-1].replace("_", " ")


def _text(value: Value) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
