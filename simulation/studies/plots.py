"""How plots look: one style, colours that the colour-blind can tell apart, written whole or not at all."""

import itertools
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")  # files only, no window
from matplotlib import pyplot as plt
from matplotlib.figure import Figure
from numpy.typing import NDArray

from typefleet.doors import Kind, PlotStyle

# Okabe and Ito.
BLUE, ORANGE, GREEN, GREY = "#0072B2", "#D55E00", "#009E73", "#555555"
_SPARE = ("#E69F00", "#56B4E9", "#000000", "#F0E442")  # theirs as well, for kinds without a style


def kind_styles(kinds: Iterable[Kind[Any]]) -> dict[str, PlotStyle]:
    """How each kind is drawn, by name: as it says, or in a colour of its own while there are any left."""
    spare = itertools.cycle(_SPARE)
    return {kind.name: kind.style or PlotStyle(next(spare)) for kind in kinds}


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
