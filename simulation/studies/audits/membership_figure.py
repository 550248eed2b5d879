"""The picture of who can be told to have taken part: ROC curves, both rates on logarithmic scales."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from simulation.plots import GREY, new_figure, save_figure, style_number
from simulation.studies.audits.membership_of_run import RUN
from simulation.studies.audits.membership_shadows import CALIBRATED, LOSS, SHADOWS
from simulation.studies.audits.update_sums import CLIPPED, DEPLOYMENT, SIMULATION, SUM

_TITLES = {
    SUM: "the sum alone",
    CLIPPED: "+ clipping",
    SIMULATION: "+ noise of a simulation,\nscaled down to so few phones",
    DEPLOYMENT: "+ noise of a deployment,\nall of it",
    RUN: "the run's own model",
}
_SCORES = {
    SHADOWS: "beside models with and without the person",
    CALIBRATED: "beside the starting weights",
    LOSS: "by loss alone",
}
_LEAST = 1e-3


def plot(path: Path, found: Sequence[Mapping[str, Any]]) -> None:
    """Draw a panel for each model, and in it a curve for each score.

    Args:
        path: of the PNG.
        found: as `membership_told.Inferred` has them, as JSON.
    """
    models = [name for name in _TITLES if any(one["model"] == name for one in found)]
    title = "Who took part? What a model tells whoever has a person's text"
    figure, axes = new_figure(1, len(models), (2.5 * len(models) + 0.9, 4.1), "")
    figure.suptitle(title, fontsize=12, weight="bold")
    for column, name in enumerate(models):
        axis = axes[0, column]
        _panel(axis, [one for one in found if one["model"] == name])
        axis.set_title(_TITLES[name])
        axis.tick_params(labelleft=column == 0)
        axis.set_xlabel("others named with them", fontsize=9)
    axes[0, 0].set_ylabel("members who are named")
    handles = {
        label: handle for axis in figure.axes for handle, label in zip(*axis.get_legend_handles_labels(), strict=True)
    }
    figure.legend(handles.values(), handles, loc="outside lower center", ncols=len(handles), fontsize=8, frameon=False)
    save_figure(figure, path, private=True)


def _panel(axis: Any, own: Sequence[Mapping[str, Any]]) -> None:
    chance = np.geomspace(_LEAST, 1, 50)
    axis.plot(chance, chance, color=GREY, lw=1, ls=(0, (4, 2)), label="by guessing")
    if allowed := next((one["allowed"] for one in own if one["allowed"]), None):
        axis.plot(*np.array(allowed).T, color="black", lw=1, ls=":", label="what the noise allows")
    for number, (score, label) in enumerate(_SCORES.items()):
        colour = style_number(number).colour
        for one in (one for one in own if one["score"] == score):
            false, true = np.array(one["roc"]).T
            axis.plot(false, np.maximum(true, _LEAST), color=colour, lw=1.6, label=label)
            area, at = f"AUC {one['area']['mean']:.2f}", 0.2 - 0.075 * number
            axis.text(0.97, at, area, transform=axis.transAxes, ha="right", fontsize=8, color=colour)
    for direction in ("x", "y"):
        axis.set(**{f"{direction}scale": "log", f"{direction}lim": (_LEAST, 1.1)})
    ticks, shown = [0.001, 0.01, 0.1, 1], ["0.1", "1", "10", "100 %"]
    axis.set_xticks(ticks, shown)
    axis.set_yticks(ticks, shown)
    axis.minorticks_off()
    axis.grid(color="#e6e6e6", lw=0.6)
    axis.set_axisbelow(True)
