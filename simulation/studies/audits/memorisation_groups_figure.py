"""The picture of whose secrets a keyboard remembers: bits that training added, by group and by what protects them."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from simulation.plots import GREY, new_figure, save_figure, style_number


def plot(path: Path, found: Sequence[Mapping[str, Any]]) -> None:
    """Draw a panel for each grouping: a dot for each group under each protection, with its interval over secrets.

    Args:
        path: of the PNG.
        found: as `memorisation_groups.RememberedOfGroup` has them, as JSON.
    """
    groupings = list(dict.fromkeys(one["grouping"] for one in found))
    protections = list(dict.fromkeys(one["protection"] for one in found))
    figure, axes = new_figure(
        1, len(groupings), (3.6 * len(groupings) + 1.8, 3.8), "Whose secrets the keyboard remembers"
    )
    for axis, grouping in zip(axes[0], groupings, strict=True):
        own = [one for one in found if one["grouping"] == grouping and one["gained"] is not None]
        groups = list(dict.fromkeys(one["group"] for one in own))
        axis.axhline(0, color=GREY, lw=1, ls=":")
        for number, protection in enumerate(protections):
            style = style_number(number)
            some = [one for one in own if one["protection"] == protection]
            shift = 0.14 * (number - (len(protections) - 1) / 2)
            at = [groups.index(one["group"]) + shift for one in some]
            axis.plot(at, [one["gained"]["mean"] for one in some], "o", color=style.colour, ms=5, label=protection)
            for place, one in zip(at, some, strict=True):
                if one["gained"]["low"] is not None:
                    axis.vlines(place, one["gained"]["low"], one["gained"]["high"], color=style.colour, lw=1.4)
        axis.set_xticks(range(len(groups)), [name.replace(" ", "\n") for name in groups])
        axis.set(title=grouping, xlim=(-0.5, max(len(groups), 1) - 0.5))
        axis.grid(axis="y", color="#e6e6e6", lw=0.6)
        axis.set_axisbelow(True)
    axes[0, 0].set_ylabel("exposure that training added, bits")
    axes[0, -1].legend(fontsize=8, frameon=False, loc="center left", bbox_to_anchor=(1, 0.5))
    save_figure(figure, path, private=True)
