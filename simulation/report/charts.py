"""Drawings for a page: SVG that takes its colours and its letters from the page around it.

Every colour is a variable of the page's style, so that a drawing can be read on white, on black and on paper. The same
values give the same bytes.
"""

import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import groupby, pairwise
from typing import Any, NamedTuple

import matplotlib
from markupsafe import Markup
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from simulation.report.drawing import Drawing, in_the_page

# Colours that nothing else has, each of which becomes a variable of the page.
INK, SOFT, FIRST, SECOND, THIRD, FOURTH = (f"#01010{digit}" for digit in "123456")
_VARIABLES = {INK: "ink", SOFT: "rule", FIRST: "first", SECOND: "second", THIRD: "third", FOURTH: "fourth"}
SIZE = (4.4, 2.75)  # inches, of a figure; at 72 to the inch some 320 points wide, as narrow as a phone
SIZE_ALONE = (7.6, 2.9)  # of one in a file of its own
_LETTERS = 10.5  # points
_SMALL = 8.5  # points, of what stands above a bar
_GAP = 0.004  # of the axis, between two bars
_NEAR = 2.0  # letters between bars, whose numbers are then written as one
_LETTER = 0.066  # inches that one takes at that size
_LANE_NAMES, _AXIS_AND_LEGEND = 1.05, 0.94  # inches left of lanes, and below them
_LEGEND_COLUMNS, _LEGEND_COLUMN = 3, 1.45  # at the usual size, and inches of each
_KEY_COLUMNS, _KEY_LINE = 3, 0.17  # of a key below lanes, and inches of each line
_MOST_POINTS = 250  # of a line; more cannot be seen at this size
_STYLE: Any = {  # matplotlib has a type of its own for the names
    "svg.fonttype": "none",
    "font.size": _LETTERS,
    "text.parse_math": False,  # names are of files that anybody may have changed, and no formulas
    "figure.facecolor": "none",
    "axes.facecolor": "none",
    "axes.labelcolor": INK,
    "axes.edgecolor": INK,
    "axes.labelsize": _LETTERS,
    "axes.linewidth": 0.8,
    "lines.linewidth": 1.8,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "xtick.labelsize": _LETTERS,
    "ytick.labelsize": _LETTERS,
}


@dataclass(frozen=True)
class Line:
    """A line of a chart, with its name at its right end."""

    name: str
    x: Sequence[float]
    y: Sequence[float]
    colour: str
    dashes: str = "-"
    points: bool = False
    steps: bool = False
    bar: tuple[float, float] | None = None  # an interval at the last point


def line_chart(
    name: str, lines: Sequence[Line], *, x: str, y: str, alternative: str, caption: str, y_from_0: bool = False
) -> Drawing:
    """Lines over one axis, each named where it ends.

    Args:
        name: of the drawing, for the ids in it; unlike that of any other on the page.
        lines: at least one, each with a point.
        x, y: what the axes show.
        alternative: what the drawing says, with the numbers, for whoever does not see it.
        caption: below it.
        y_from_0: whether the y axis starts at 0, without which small changes fill it.
    """
    with _figure() as figure:
        axes = figure.add_axes((0.15, 0.2, 0.51, 0.74))
        for line in lines:
            some = _thinned(len(line.x))
            axes.plot(
                [line.x[i] for i in some],
                [line.y[i] for i in some],
                color=line.colour,
                linestyle=line.dashes,
                marker="o" if line.points or len(some) == 1 else None,
                markersize=3.5,
                drawstyle="steps-post" if line.steps else "default",
                clip_on=False,
            )
            if line.bar is not None:
                axes.vlines(line.x[-1], *line.bar, color=line.colour, linewidth=1.2)
                axes.plot([line.x[-1]] * 2, line.bar, color=line.colour, linestyle="none", marker="_", markersize=6)
        _finish(axes, x, y, all(float(place).is_integer() for line in lines for place in line.x))
        if y_from_0:
            axes.set_ylim(bottom=0)
        _name_ends(axes, lines)
        return Drawing(_svg(figure, name, alternative), caption)


def bar_chart(name: str, bars: Sequence[tuple[str, float, str]], *, alternative: str, caption: str) -> Drawing:
    """Bars from left to right, the first at the top.

    Args:
        name: of the drawing, for the ids in it; unlike that of any other on the page.
        bars: what each is, how long, and what is written behind it.
        alternative, caption: as of `line_chart`.
    """
    with _figure() as figure:
        axes = figure.add_axes((0.29, 0.04, 0.42, 0.93))
        for place, (label, value, text) in enumerate(bars):
            axes.barh(place, value, height=0.62, color=FIRST if place < 2 else SECOND)
            axes.annotate(text, (value, place), (4, 0), textcoords="offset points", va="center", color=INK)
            axes.annotate(label, (0, place), (-5, 0), textcoords="offset points", va="center", ha="right", color=INK)
        axes.invert_yaxis()
        axes.set_axis_off()
        axes.set_xlim(0, max((value for _, value, _ in bars), default=1) or 1)
        return Drawing(_svg(figure, name, alternative), caption)


class Bar(NamedTuple):
    """A stretch of time in a lane."""

    began: float
    ended: float
    colour: str
    names: Sequence[str]  # the first that has room above it is written there; the last is its number
    meaning: str = ""  # of the number; listed below the drawing unless its first name is written


def lane_chart(
    name: str,
    lanes: Sequence[tuple[str, Sequence[Bar]]],
    *,
    x: str,
    moments: Sequence[float],
    legend: Sequence[tuple[str, str]],
    alternative: str,
    caption: str,
    size: tuple[float, float] = SIZE,
) -> Drawing:
    """What several did at the same time, a lane for each, the first at the top.

    Args:
        name: of the drawing, for the ids in it; unlike that of any other on the page.
        lanes: who, and what each did, one after another; at least one bar among them.
        x: what the axis shows.
        moments: through all lanes, a line at each.
        legend: what each colour means, and the colour.
        alternative, caption: as of `line_chart`.
        size: in inches, without the key: what numbers mean, in columns below the drawing.
    """
    last = max(bar.ended for _, bars in lanes for bar in bars)
    letters = (0.98 * size[0] - _LANE_NAMES) / _LETTER / last  # above a unit of the axis
    key = [bar.meaning for _, bars in lanes for bar in bars if bar.meaning and _fitting(bar, letters) != bar.names[0]]
    below = -(-len(key) // _KEY_COLUMNS) * _KEY_LINE
    with _figure((size[0], size[1] + below)) as figure:
        left, low, top = _LANE_NAMES / size[0], (_AXIS_AND_LEGEND + below) / (size[1] + below), 0.98
        axes = figure.add_axes((left, low, 0.98 - left, top - low))
        for moment in moments:
            axes.axvline(moment, color=INK, linewidth=0.8, linestyle=":")
        for place, (label, bars) in enumerate(lanes):
            axes.annotate(label, (0, place + 0.1), (-5, 0), textcoords="offset points", va="center", ha="right")
            for bar in bars:
                width = bar.ended - bar.began
                shown = max(width - _GAP * last, width / 2)  # so that bars of one colour are told apart
                axes.barh(place + 0.14, shown, left=bar.began, height=0.44, **_filled(bar.colour))
            for middle, text in _written_above(bars, letters):
                axes.annotate(text, (middle, place - 0.1), ha="center", va="bottom", fontsize=_SMALL)
        _finish(axes, x, "", whole=False)
        axes.grid(visible=False)
        axes.set_yticks([])
        axes.set_ylim(len(lanes) - 0.5, -0.5)
        axes.spines["left"].set_visible(False)
        axes.set_xlim(0, last)
        _explain(figure, legend, int(size[0] / _LEGEND_COLUMN), below / (size[1] + below))
        _list_key(figure, key)
        return Drawing(_svg(figure, name, alternative), caption)


def _fitting(bar: Bar, letters: float) -> str:
    """The name that has room above a bar; empty if none has."""
    return next((one for one in bar.names if len(one) < (bar.ended - bar.began) * letters), "")


def _written_above(bars: Sequence[Bar], letters: float) -> list[tuple[float, str]]:
    """(middle, text) of what is written above a lane: names that have room, and where nothing else is, numbers of the
    bars that have room for none, of those beside each other as one: 9-11.

    Args:
        bars: of the lane, from left to right.
        letters: that a unit of the axis has room for.
    """
    found = [((bar.began + bar.ended) / 2, name) for bar in bars if (name := _fitting(bar, letters))]
    groups: list[list[Bar]] = []
    for is_narrow, some in groupby((bar for bar in bars if bar.names), lambda bar: not _fitting(bar, letters)):
        narrow = list(some) if is_narrow else []
        for place, bar in enumerate(narrow):
            if place and (bar.began - narrow[place - 1].ended) * letters < _NEAR:
                groups[-1].append(bar)
            else:
                groups.append([bar])
    for group in groups:
        text = "-".join(dict.fromkeys((group[0].names[-1], group[-1].names[-1])))
        middle = (group[0].began + group[-1].ended) / 2
        if all(abs(middle - other) * letters > (len(text) + len(name)) / 2 + 1 for other, name in found):
            found.append((middle, text))
    return found


def stacked_bars(
    name: str,
    layers: Sequence[tuple[str, str, Sequence[float]]],
    edges: Sequence[float],
    *,
    x: str,
    y: str,
    alternative: str,
    caption: str,
) -> Drawing:
    """Bars side by side, each made of parts that lie on each other.

    Args:
        name: of the drawing, for the ids in it; unlike that of any other on the page.
        layers: name, colour and heights of each part, the lowest first; a height for each bar.
        edges: between the bars, and where the first begins and the last ends.
        x, y, alternative, caption: as of `line_chart`.
    """
    with _figure() as figure:
        axes = figure.add_axes((0.15, 0.34, 0.82, 0.62))
        lefts, widths = edges[:-1], [b - a for a, b in pairwise(edges)]
        below = [0.0] * len(lefts)
        for _, colour, heights in layers:
            shown = [0.9 * width for width in widths]
            axes.bar(lefts, heights, shown, below, align="edge", **_filled(colour))
            below = [a + b for a, b in zip(below, heights, strict=True)]
        _finish(axes, x, y, whole=True)
        axes.set_xlim(edges[0], edges[-1])
        axes.set_ylim(bottom=0)
        _explain(figure, [(label, colour) for label, colour, _ in layers])
        return Drawing(_svg(figure, name, alternative), caption)


def _filled(colour: str) -> dict[str, Any]:
    """A colour, with an edge where it is faint by itself."""
    return {"facecolor": colour, "edgecolor": INK if colour == SOFT else "none", "linewidth": 0.6}


def _list_key(figure: Figure, key: Sequence[str]) -> None:
    """Short lines in columns, each column from its top down, at the very bottom."""
    lines, height = -(-len(key) // _KEY_COLUMNS), figure.get_figheight()
    for place, text in enumerate(key):
        column, line = divmod(place, lines)
        y = (lines - line - 0.5) * _KEY_LINE / height
        figure.text(0.01 + column / _KEY_COLUMNS, y, text, va="center", fontsize=_SMALL)


def _explain(
    figure: Figure, legend: Sequence[tuple[str, str]], columns: int = _LEGEND_COLUMNS, low: float = 0.0
) -> None:
    """What the colours mean, below the drawing, in two lines if need be; above `low`, a share of its height."""
    patches = [Patch(label=label, **_filled(colour)) for label, colour in legend]
    figure.legend(
        handles=patches,
        loc="lower left",
        bbox_to_anchor=(0, low),
        ncols=columns,
        frameon=False,
        handlelength=0.8,
        handleheight=0.8,
        columnspacing=1.1,
        borderaxespad=0.1,
        fontsize=_LETTERS,
    )


@contextmanager
def _figure(size: tuple[float, float] = SIZE) -> Iterator[Figure]:
    with matplotlib.rc_context(_STYLE):
        yield Figure(figsize=size)


def _thinned(number: int) -> list[int]:
    """Places of points to draw, the first and the last among them."""
    if number <= _MOST_POINTS:
        return list(range(number))
    return [i * (number - 1) // (_MOST_POINTS - 1) for i in range(_MOST_POINTS)]


def _finish(axes: Any, x: str, y: str, whole: bool) -> None:
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="y", color=SOFT, linewidth=0.6)
    axes.set_axisbelow(True)
    axes.margins(x=0, y=0.08)
    axes.set_xlim(left=0)
    axes.locator_params(axis="y", nbins=5)
    axes.xaxis.set_major_locator(MaxNLocator(nbins=5, integer=whole))


def _name_ends(axes: Any, lines: Sequence[Line]) -> None:
    """Each name right of its line's end, moved apart where ends are close."""
    low, high = axes.get_ylim()
    apart = (high - low) * 0.115
    order = sorted(range(len(lines)), key=lambda i: lines[i].y[-1])
    places = [lines[i].y[-1] for i in order]
    for i in range(1, len(places)):
        places[i] = max(places[i], places[i - 1] + apart)
    over = max(0.0, places[-1] - high)
    for i in range(len(places) - 1, -1, -1):
        places[i] -= over
        over = min(over, max(0.0, places[i - 1] - places[i] + apart)) if i else 0.0
    # Leaders end left of all names: one that ran to a name's middle would cross those of the names below it.
    for i, place in zip(order, places, strict=True):
        line = lines[i]
        ends = [(y - low) / (high - low) for y in (line.y[-1], place)]
        axes.plot(
            [1.0, 1.07],
            ends,
            transform=axes.transAxes,
            color=line.colour,
            linestyle=line.dashes,
            linewidth=1.2,
            clip_on=False,
        )
        axes.text(1.09, ends[1], line.name, transform=axes.transAxes, va="center", color=INK)


def _svg(figure: Figure, name: str, alternative: str) -> Markup:
    """The figure as an element of a page: ids of its own, no fonts, no addresses, the page's colours."""
    written = io.StringIO()
    with matplotlib.rc_context({"svg.hashsalt": name}):
        nothing = dict.fromkeys(("Creator", "Date", "Format", "Type"))
        figure.savefig(written, format="svg", metadata=nothing)
    return in_the_page(written.getvalue(), name, alternative, _VARIABLES)
