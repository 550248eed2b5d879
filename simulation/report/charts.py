"""Drawings for a page: SVG that takes its colours and its letters from the page around it.

Every colour is a variable of the page's style, so that a drawing can be read on white, on black and on paper. The same
values give the same bytes.
"""

import io
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple

import matplotlib
from markupsafe import Markup
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

# Colours that nothing else has, each of which becomes a variable of the page.
INK, SOFT, FIRST, SECOND, THIRD, FOURTH = (f"#01010{digit}" for digit in "123456")
_VARIABLES = {INK: "ink", SOFT: "rule", FIRST: "first", SECOND: "second", THIRD: "third", FOURTH: "fourth"}
_SIZE = (4.4, 2.75)  # inches, of a figure; at 72 to the inch some 320 points wide, as narrow as a phone
_LETTERS = 10.5  # points
_MOST_POINTS = 250  # of a line; more cannot be seen at this size
_STYLE: Any = {  # matplotlib has a type of its own for the names
    "svg.fonttype": "none",
    "font.size": _LETTERS,
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


class Drawing(NamedTuple):
    """A figure on the page."""

    svg: Markup
    caption: str


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


@contextmanager
def _figure() -> Iterator[Figure]:
    with matplotlib.rc_context(_STYLE):
        yield Figure(figsize=_SIZE)


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


def in_the_page(text: str, name: str, alternative: str, variables: Mapping[str, str]) -> Markup:
    """A drawing that matplotlib wrote, as an element of a page, as wide as the page's style has it.

    Args:
        text: of the SVG file.
        name: put before each id, since ids are the page's.
        alternative: what it says, for whoever does not see it.
        variables: of the page's style, by the colour that each takes the place of.
    """
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>|<style.*?</style>|<!--.*?-->", "", text, flags=re.DOTALL)
    text = re.sub(r"<svg[^>]*viewBox=\"([^\"]+)\"[^>]*>", r'<svg viewBox="\1" role="img" aria-label="">', text, count=1)
    text = text.replace("xlink:href", "href")
    text = re.sub(r" font-family: [^;\"]*;", "", text)
    used = set(re.findall(r"(?:href=\"#|url\(#)([^\")]+)", text))
    text = re.sub(r' id="([^"]+)"', lambda m: f' id="{name}-{m[1]}"' if m[1] in used else "", text)
    text = re.sub(r'(href="#|url\(#)', rf"\1{name}-", text)
    for colour, variable in variables.items():
        text = text.replace(f": {colour}", f": var(--{variable})")
    text = re.sub(r"\n\s*", "\n", text).strip()
    return Markup(text.replace('aria-label=""', f'aria-label="{Markup.escape(alternative)}"', 1))
