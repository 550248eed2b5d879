"""How plots look: one style, colours that the colour-blind can tell apart, written whole or not at all."""

import io
import itertools
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")  # files only, no window
from matplotlib import pyplot as plt
from matplotlib.figure import Figure
from numpy.typing import NDArray

from simulation.files import write_bytes_atomically
from typefleet.doors import Kind, PlotStyle

# Okabe and Ito.
BLUE, ORANGE, GREEN, GREY = "#0072B2", "#D55E00", "#009E73", "#555555"
_SPARE = ("#E69F00", "#56B4E9", "#000000", "#F0E442")  # theirs as well, for kinds without a style
_PALETTE = (BLUE, ORANGE, GREEN, "#CC79A7", "#E69F00", "#56B4E9", "#000000")  # what can be read on white
_LINES, _MARKERS = ("-", "--", "-.", ":"), ("o", "s", "^", "D")

COLUMN_IN, TWO_COLUMNS_IN = 3.35, 6.9  # of a page of print
_EIGHT_POINTS = (
    *("font.size", "axes.titlesize", "axes.labelsize", "legend.fontsize", "figure.titlesize"),
    *("xtick.labelsize", "ytick.labelsize"),
)
_PRINT_STYLE: dict[Any, Any] = {  # the stubs have a literal for each key
    **dict.fromkeys(_EIGHT_POINTS, 8),
    "axes.linewidth": 0.6,
    "lines.linewidth": 1,
    "lines.markersize": 4,
    "legend.frameon": False,
    "text.parse_math": False,  # what stands in a label is said as it is
    "pdf.fonttype": 42,  # TrueType, embedded
    "svg.fonttype": "path",  # it looks the same whatever fonts the reader has
}


def kind_styles(kinds: Iterable[Kind[Any]]) -> dict[str, PlotStyle]:
    """How each kind is drawn, by name: as it says, or in a colour of its own while there are any left."""
    spare = itertools.cycle(_SPARE)
    return {kind.name: kind.style or PlotStyle(next(spare)) for kind in kinds}


def style_number(number: int) -> PlotStyle:
    """The look of the n-th of several things that have none of their own, from 0 on; the 29th looks like the first."""
    kind = number // len(_PALETTE) % len(_LINES)
    return PlotStyle(_PALETTE[number % len(_PALETTE)], _MARKERS[kind], _LINES[kind])


@contextmanager
def for_print() -> Iterator[None]:
    """Within it, figures are drawn as a paper wants them: 8 points, embedded fonts, thin lines."""
    with plt.rc_context(_PRINT_STYLE):
        yield


def new_figure(rows: int, columns: int, size: tuple[float, float], title: str) -> tuple[Figure, NDArray[Any]]:
    """(figure, axes [rows, columns]) on white, so that it can be read on a dark page as well."""
    figure, axes = plt.subplots(rows, columns, figsize=size, layout="constrained", facecolor="white", squeeze=False)
    if title:
        figure.suptitle(title, fontsize=12)
    return figure, axes


def save_for_print(figure: Figure, folder: Path, name: str) -> tuple[Path, Path]:
    """Write NAME.svg and NAME.pdf, the same bytes for the same figure, and let go of it.

    Args:
        figure: drawn within `for_print`.
        folder: that is there.
        name: of the files, without an ending.

    Returns:
        Their paths.
    """
    _open_frames(figure)
    written = []
    for ending, undated in (("svg", {"Date": None}), ("pdf", {"CreationDate": None})):
        content = io.BytesIO()
        with plt.rc_context({**_PRINT_STYLE, "svg.hashsalt": name}):
            figure.savefig(content, format=ending, metadata=undated)
        written.append(folder / f"{name}.{ending}")
        write_bytes_atomically(written[-1], content.getvalue())
    plt.close(figure)
    return written[0], written[1]


def save_figure(figure: Figure, path: Path) -> None:
    """Write a PNG and let go of the figure."""
    write_bytes_atomically(path, png_of(figure))


def png_of(figure: Figure) -> bytes:
    """The content of a PNG; lets go of the figure."""
    _open_frames(figure)
    for axis in figure.axes:
        axis.title.set_fontsize(10)
    content = io.BytesIO()
    figure.savefig(content, dpi=110, format="png")
    plt.close(figure)
    return content.getvalue()


def _open_frames(figure: Figure) -> None:
    """No line above a plot nor to its right."""
    places: set[tuple[float, ...]] = set()
    for axis in figure.axes:
        place = tuple(axis.get_position().bounds)
        axis.spines[["top"] if place in places else ["top", "right"]].set_visible(False)  # a twin needs its right one
        places.add(place)
