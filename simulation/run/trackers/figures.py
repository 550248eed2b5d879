"""The figures of a finished run: recall beside counting, and epsilon, over its rounds."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from client_model.metrics.counting_baselines import Baselines

if TYPE_CHECKING:
    from matplotlib.axes import Axes

RECALL, EPSILON = "figures/recall", "figures/epsilon"
_ORDERS = ("unigram", "bigram", "trigram")


def run_figures(
    lines: Sequence[Mapping[str, Any]], at_start: Mapping[str, Any], baselines: Baselines
) -> dict[str, bytes]:
    """PNG files by tag; a figure without a value to show is left out.

    Args:
        lines: of rounds.jsonl.
        at_start: the measurement before the first round, metrics by name; empty if it is not known.
        baselines: what counting reaches on the same people.
    """
    from simulation.plots import new_figure, png_of  # with matplotlib, which takes time to import

    measured = [(0, at_start), *((line["completed"], line) for line in lines)]
    spent = [(line["completed"], line["epsilon"]) for line in lines if line["epsilon"] is not None]
    found = {}
    if any(values.get("top1_recall") is not None for _, values in measured):
        figure, axes = new_figure(1, 2, (9, 3.6), "Words foreseen, on people who never train")
        for axis, top in zip(axes[0], (1, 3), strict=True):
            _draw_recall(axis, measured, top, baselines)
        figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=4, frameon=False)
        found[RECALL] = png_of(figure)
    if spent:
        figure, axes = new_figure(1, 1, (6, 3.6), "Privacy loss so far")
        _draw_epsilon(axes[0, 0], [(0, 0.0), *spent], lines[-1]["epsilon_is_of"])
        found[EPSILON] = png_of(figure)
    return found


def _draw_recall(
    axis: "Axes", measured: Sequence[tuple[int, Mapping[str, Any]]], top: int, baselines: Baselines
) -> None:
    from simulation.plots import BLUE, GREEN, GREY, ORANGE

    name = f"top{top}_recall"
    points = [(done, 100 * values[name]) for done, values in measured if values.get(name) is not None]
    axis.plot(*zip(*points, strict=True), color=BLUE, marker="o", markersize=3, label="the model")
    for order, colour, line in zip(_ORDERS, (GREY, GREEN, ORANGE), (":", "-.", "--"), strict=True):
        reached = getattr(baselines, f"{order}_top{top}")
        if reached is not None:
            axis.axhline(100 * reached, color=colour, linestyle=line, linewidth=1.2, label=f"counting, {order}")
    axis.set(title="first suggestion" if top == 1 else f"one of {top}", xlabel="completed rounds", ylabel="recall, %")
    axis.set_ylim(bottom=0)


def _draw_epsilon(axis: "Axes", spent: Sequence[tuple[int, float]], epsilon_is_of: str) -> None:
    from simulation.plots import BLUE, alone

    axis.plot(*zip(*spent, strict=True), color=BLUE, drawstyle="steps-post", marker=alone(spent, "o"))
    axis.set(title=f"of {epsilon_is_of}", xlabel="completed rounds", ylabel="epsilon")
    axis.set_ylim(bottom=0)
