"""The figures of a comparison of runs, at the width of a column of print: recall, curves over time, epsilon."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from client_model.metrics.intervals import over_seeds
from client_model.metrics.keyboard_metrics import TOP1_RECALL
from server_strategy.privacy.mechanisms.door import MECHANISMS
from simulation.plots import (
    COLUMN_IN,
    GREY,
    TWO_COLUMNS_IN,
    alone,
    for_print,
    kind_styles,
    new_figure,
    on_dark,
    save_for_print,
    style_number,
)
from simulation.studies.comparing.comparison import RunComparison
from simulation.studies.comparing.groups import RunGroup
from simulation.studies.comparing.reading import ComparedRun
from typefleet.doors import PlotStyle

if TYPE_CHECKING:
    from markupsafe import Markup

_DAY_S = 86_400
_ROW_IN = 0.24  # height of a group, of a line of a legend too
_MOST_BANDS = 6  # more of them hide each other
_LETTERS_A_LINE = 90  # of a legend across two columns
_OF_THE_PAGE = {"#000000": "ink", GREY: "soft", "#ffffff": "paper"}  # colours of every page, by what print has
_Value = Callable[[Mapping[str, Any]], float | None]


@dataclass(frozen=True)
class WrittenFigure:
    """A figure on disk, and as it stands in the page."""

    below: str  # first word of the title of the table that it belongs to
    caption: str
    paths: tuple[Path, Path]  # SVG, PDF
    inline: "Markup"
    colours: frozenset[str]  # in it that are not those of every page; a variable each
    is_wide: bool = False  # of two columns


def page_colours(figures: Sequence[WrittenFigure]) -> list[tuple[str, str, str]]:
    """(name of the variable, colour in the light, colour in the dark) of all that the figures are drawn in.

    Args:
        figures: of a page.
    """
    return [
        (_variable(colour), colour, on_dark(colour))
        for colour in sorted(frozenset[str]().union(*(figure.colours for figure in figures)))
    ]


def _variable(colour: str) -> str:
    return f"colour-{colour.removeprefix('#')}"


def write_figures(found: RunComparison, folder: Path) -> list[WrittenFigure]:
    """Write each figure that there is something to draw in, as SVG and PDF.

    Args:
        found: by `compare_runs`.
        folder: that is there.
    """
    styles = _styles(found)
    with for_print():
        figures = [_recall_figure(found, styles, folder), _curves_figure(found, styles, folder)]
        if any(one.epsilon is not None for one in found.privacy):
            figures.append(_epsilon_figure(found, styles, folder))
    return figures


def _styles(found: RunComparison) -> list[PlotStyle]:
    """A mechanism looks as it does everywhere; other groups are told apart by colour, then by line and marker."""
    known = kind_styles(MECHANISMS.kinds())
    labels = [group.label for group in found.groups]
    if set(labels) <= known.keys():
        return [known[label] for label in labels]
    return [style_number(number) for number in range(len(labels))]


def _written(figure: Any, folder: Path, name: str, *, below: str, caption: str) -> WrittenFigure:
    from simulation.report.drawing import in_the_page

    paths = save_for_print(figure, folder, name)
    drawn = paths[0].read_text(encoding="utf-8")
    colours = frozenset(re.findall(r": (#[0-9a-f]{6})\b", drawn)) - {colour.lower() for colour in _OF_THE_PAGE}
    variables = {colour.lower(): name for colour, name in _OF_THE_PAGE.items()}
    variables |= {colour: _variable(colour) for colour in colours}
    return WrittenFigure(below, caption, paths, in_the_page(drawn, name, caption, variables), colours)


def _recall_figure(found: RunComparison, styles: list[PlotStyle], folder: Path) -> WrittenFigure:
    """A row for each group: its recall with the interval, and what counting reaches."""
    column = [metric.name for metric in found.metrics].index(TOP1_RECALL.name)
    count = len(found.groups)
    figure, axes = new_figure(1, 1, (COLUMN_IN, 1 + _ROW_IN * count), "")
    axis: Axes = axes[0, 0]
    for row, (values, style) in enumerate(zip(found.measured, styles, strict=True)):
        one = values[column]
        if one.value is None:
            continue
        low, high = (one.interval.low, one.interval.high) if one.interval is not None else (None, None)
        if low is not None and high is not None:
            axis.plot([100 * low, 100 * high], [row, row], color=style.colour, lw=1.2)
        axis.plot(100 * one.value, row, marker=style.marker, color=style.colour, ls="none")
        for name, mark in (("bigram", "x"), ("trigram", "|")):
            if (reached := one.baselines.get(name)) is not None:
                label = name if f"{name}" not in axis.get_legend_handles_labels()[1] else None
                axis.plot(100 * reached, row, marker=mark, ms=5, color=GREY, ls="none", label=label)
    axis.set_yticks(range(count), [group.label for group in found.groups])
    axis.set(ylim=(count - 0.5, -0.5), xlabel="recall, first suggestion, %")
    if axis.get_legend_handles_labels()[0]:
        figure.legend(loc="outside lower center", ncols=2)
    caption = "Recall of the first suggestion with its 95 % interval, where it has one, and what counting reaches"
    return _written(figure, folder, "recall", below="Suggestions", caption=caption)


def _curves_figure(found: RunComparison, styles: list[PlotStyle], folder: Path) -> WrittenFigure:
    """Recall and loss over rounds, each group's mean with its interval; and over simulated days, each run."""
    longest = max(len(group.label) for group in found.groups)
    columns = max(1, min(len(found.groups), _LETTERS_A_LINE // (longest + 8)))
    lines = -(-len(found.groups) // columns)
    figure, axes = new_figure(2, 2, (TWO_COLUMNS_IN, 3.6 + 0.17 * lines), "")
    rows: tuple[tuple[str, _Value], ...] = (
        ("recall, first suggestion, %", lambda line: _percent(line.get(TOP1_RECALL.name))),
        ("training loss, nats per token", lambda line: line["loss"]),
    )
    for (label, value_of), (by_round, by_day) in zip(rows, axes, strict=True):
        has_bands = by_round is axes[0, 0] and len(found.groups) <= _MOST_BANDS
        for group, style in zip(found.groups, styles, strict=True):
            _draw_over_rounds(by_round, group, style, value_of, has_bands)
            _draw_over_days(by_day, group, style, value_of)
        by_round.set_ylabel(label)
        by_day.sharey(by_round)
    for column, (x_label, x_of) in enumerate((("completed rounds", _completed), ("simulated days", _day))):
        axes[1, column].set_xlabel(x_label)
        for axis in axes[:, column]:
            from_nothing_on(axis, found, x_of, whole=x_of is _completed)
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=columns)
    bands = ", recall with its 95 % t-interval where there are several" if len(found.groups) <= _MOST_BANDS else ""
    caption = f"Recall and training loss over rounds, the mean of each group over seeds{bands}"
    caption += "; and over simulated days, each run by itself"
    return replace(_written(figure, folder, "curves", below="Suggestions", caption=caption), is_wide=True)


def _percent(share: float | None) -> float | None:
    return None if share is None else 100 * share


def curve_of(run: ComparedRun, value_of: _Value, x_of: _Value) -> dict[float, float]:
    """A value over something that grows, of the rounds that released a model and have both.

    Args:
        run: the run.
        value_of, x_of: of a line of rounds.jsonl; None where it has none.
    """
    points = ((x_of(line), value_of(line)) for line in run.rounds if line["abandoned"] is None)
    return {x: value for x, value in points if x is not None and value is not None}


def _completed(line: Mapping[str, Any]) -> float | None:
    return float(line["completed"])


def _day(line: Mapping[str, Any]) -> float | None:
    closed_s = line.get("closed_s")
    return None if closed_s is None else closed_s / _DAY_S


def from_nothing_on(axis: Axes, found: RunComparison, x_of: _Value, *, whole: bool) -> None:
    """An x axis from 0 to the end of the longest run, as a curve of one point would not have it by itself.

    Args:
        axis: drawn on already.
        found: the runs.
        x_of: what the axis shows, of a line of rounds.jsonl.
        whole: whether it has whole numbers only.
    """
    ends = [x for group in found.groups for run in group.runs for line in run.rounds if (x := x_of(line)) is not None]
    last = max(ends, default=0) or 1
    axis.set_xlim(0, 1.03 * last)
    axis.xaxis.set_major_locator(MaxNLocator(nbins=6, integer=whole))


def _draw_line(axis: Axes, x: Sequence[float], y: Sequence[float], style: PlotStyle, **how: Any) -> None:
    axis.plot(x, y, color=style.colour, ls=style.line, marker=alone(x, style.marker), **how)


def _draw_over_rounds(axis: Axes, group: RunGroup, style: PlotStyle, value_of: _Value, has_band: bool) -> None:
    """The mean over seeds, at the rounds that all runs have."""
    by_seed = [[curve_of(run, value_of, _completed) for run in runs] for runs in group.by_seed.values()]
    curves = [curve for runs in by_seed for curve in runs]
    rounds = [x for x in curves[0] if all(x in curve for curve in curves)]
    points = [over_seeds([sum(curve[x] for curve in runs) / len(runs) for runs in by_seed]) for x in rounds]
    _draw_line(axis, rounds, [p.mean for p in points], style, label=group.label)
    bounds = [(x, p.low, p.high) for x, p in zip(rounds, points, strict=True) if p.low is not None]
    if bounds and has_band:
        x, low, high = zip(*bounds, strict=True)
        axis.fill_between(x, low, high, color=style.colour, alpha=0.15, lw=0)


def _draw_over_days(axis: Axes, group: RunGroup, style: PlotStyle, value_of: _Value) -> None:
    for run in group.runs:
        curve = curve_of(run, value_of, _day)
        _draw_line(axis, list(curve), list(curve.values()), style, lw=0.7)


def _epsilon_figure(found: RunComparison, styles: list[PlotStyle], folder: Path) -> WrittenFigure:
    """What was spent so far, of each group the largest."""
    figure, axes = new_figure(1, 1, (COLUMN_IN, 2.2 + 0.17 * len(found.groups)), "")
    axis: Axes = axes[0, 0]
    for group, one, style in zip(found.groups, found.privacy, styles, strict=True):
        curves = [curve_of(run, lambda line: line["epsilon"], _completed) for run in group.runs]
        rounds = sorted({x for curve in curves for x in curve})
        if one.epsilon is None or not rounds:
            continue
        largest = [max(curve[x] for curve in curves if x in curve) for x in rounds]
        _draw_line(axis, rounds, largest, style, label=group.label, drawstyle="steps-post")
    axis.set(xlabel="completed rounds", ylabel="epsilon spent", ylim=(0, None))
    from_nothing_on(axis, found, _completed, whole=True)
    if found.ranking:
        axis.set_title("of different deployments: not to be ranked")
    figure.legend(loc="outside lower center", ncols=1)
    caption = "Epsilon spent over rounds, of each group the largest of its runs"
    caption += f"; {found.ranking}" if found.ranking else ""
    return _written(figure, folder, "epsilon", below="Privacy", caption=caption)
