"""How plots look: one style, colours that the colour-blind can tell apart, written whole or not at all."""

from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")  # files only, no window
from matplotlib import pyplot as plt
from matplotlib.figure import Figure
from numpy.typing import NDArray

# Okabe and Ito.
BLUE, ORANGE, GREEN, PURPLE, GREY = "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#555555"
COLOURS = {"gaussian": ORANGE, "tree": PURPLE, "banded": GREEN, "blt": BLUE, "none": GREY}
MARKERS = {"gaussian": "o", "tree": "s", "banded": "^", "blt": "D"}


def new_figure(rows: int, columns: int, size: tuple[float, float], title: str) -> tuple[Figure, NDArray[Any]]:
    """(figure, axes [rows, columns]) on white, so that it can be read on a dark page as well."""
    figure, axes = plt.subplots(rows, columns, figsize=size, layout="constrained", facecolor="white", squeeze=False)
    figure.suptitle(title, fontsize=12)
    return figure, axes


def save_figure(figure: Figure, path: Path) -> None:
    """Write a PNG and let go of the figure."""
    places: set[tuple[float, ...]] = set()
    for axis in figure.axes:
        place = tuple(axis.get_position().bounds)
        axis.spines[["top"] if place in places else ["top", "right"]].set_visible(False)  # a twin needs its right one
        axis.title.set_fontsize(10)
        places.add(place)
    draft = path.with_name(f".{path.name}-draft")
    figure.savefig(draft, dpi=110, format="png")
    plt.close(figure)
    draft.replace(path)
