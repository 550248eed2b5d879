"""How plots look: one style, colours that the colour-blind can tell apart, written whole or not at all."""

import colorsys
import io
import itertools
from collections.abc import Iterable, Iterator, Sized
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
_DARK_PAGE, _ENOUGH_CONTRAST = "#1b2229", 4.5  # the lightest that ours have behind a drawing; of letters, by WCAG 2.2

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


def alone(points: Sized, marker: str) -> str:
    """The marker of a curve: none, but for one of a single point, which without it could not be seen.

    Args:
        points: of the curve.
        marker: to draw it with.
    """
    return marker if len(points) == 1 else ""


def on_dark(colour: str) -> str:
    """A colour as light as it takes to be read on a dark page, of the same hue.

    Args:
        colour: `#rrggbb`.
    """
    hue, lightness, saturation = colorsys.rgb_to_hls(*_parts(colour))
    while _contrast(colour, _DARK_PAGE) < _ENOUGH_CONTRAST:
        lightness = min(1.0, lightness + 0.01)
        colour = "#" + "".join(f"{round(255 * part):02x}" for part in colorsys.hls_to_rgb(hue, lightness, saturation))
    return colour


def _parts(colour: str) -> tuple[float, float, float]:
    """Red, green and blue, of 1 each."""
    red, green, blue = (int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5))
    return red, green, blue


def _contrast(one: str, other: str) -> float:
    """Of two colours, from 1 to 21 (WCAG 2.2, "contrast ratio" and "relative luminance")."""
    low, high = sorted(map(_luminance, (one, other)))
    return (high + 0.05) / (low + 0.05)


def _luminance(colour: str) -> float:
    linear = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in _parts(colour))
    return sum(share * part for share, part in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


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


def save_figure(figure: Figure, path: Path, *, private: bool = False) -> None:
    """Write a PNG, which its owner alone may read if it is private, and let go of the figure."""
    write_bytes_atomically(path, png_of(figure), private=private)


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
