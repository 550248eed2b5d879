"""The picture of what a keyboard remembers: exposure of secrets, over who wrote them and what protects them."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from server_strategy.privacy.rounded_up import Bound
from simulation.plots import GREY, new_figure, save_figure, style_number
from simulation.studies.audits.memorisation import START, most_bits
from simulation.studies.audits.update_sums import CLIPPED, DEPLOYMENT, SIMULATION, SUM

_BY_CHANCE = 1.44  # log2(e) bits, of a rank drawn at random
_LABELS = {
    START: "before\ntraining",
    SUM: "trained,\nno protection",
    CLIPPED: "clipped",
    SIMULATION: "+ noise of\na simulation",
    DEPLOYMENT: "+ noise of\na deployment",
}


def plot(path: Path, found: Sequence[Mapping[str, Any]]) -> None:
    """Draw a column for each protection, and in it a dot for each sentence, by who wrote it and how often.

    Args:
        path: of the PNG.
        found: as `memorisation.Remembered` has them, as JSON.
    """
    names = [name for name in _LABELS if any(one["protection"] == name for one in found)]
    cells = sorted({(one["phones"], one["times"]) for one in found})
    figure, axes = new_figure(1, 1, (1.55 * len(names) + 2.4, 4.2), "What the exported keyboard remembers of a secret")
    axis = axes[0, 0]
    axis.axhline(most_bits(), color=GREY, lw=1, ls="--")
    axis.axhline(_BY_CHANCE, color=GREY, lw=1, ls=":")
    for text, at in (("the likeliest of 10,000", most_bits()), ("by chance", _BY_CHANCE)):
        axis.text(len(names) - 0.52, at + 0.15, text, fontsize=8, color=GREY, ha="right")
    width = 0.8 / len(cells)
    for number, (phones, times) in enumerate(cells):
        style = style_number(number)
        label = f"{phones} phone{'s' * (phones > 1)}, {times} time{'s' * (times > 1)} each"
        for place, name in enumerate(names):
            at = place - 0.4 + (number + 0.5) * width
            bits: list[float] = next((one["exposures"] for one in found if _case(one) == (name, phones, times)), [])
            axis.bar(at, sum(bits) / max(len(bits), 1), 0.9 * width, color=style.colour, alpha=0.3)
            axis.plot([at] * len(bits), bits, "o", color=style.colour, ms=4, label=label if place == 0 else None)
    axis.set_xticks(range(len(names)), [_with_epsilon(name, found) for name in names])
    axis.set(ylabel="exposure, bits", ylim=(0, most_bits() + 1), xlim=(-0.5, len(names) - 0.5))
    axis.legend(
        title="written by", fontsize=8, title_fontsize=8, frameon=False, loc="center left", bbox_to_anchor=(1, 0.5)
    )
    save_figure(figure, path, private=True)


def _case(one: Mapping[str, Any]) -> tuple[str, int, int]:
    return one["protection"], one["phones"], one["times"]


def _with_epsilon(name: str, found: Sequence[Mapping[str, Any]]) -> str:
    """The column's label, with the noise's epsilon where it is meant for so few phones, and what the model recalls."""
    one = next(one for one in found if one["protection"] == name)
    recall = "" if one["recall"] is None else f"\nrecall {100 * one['recall']:.1f} %"
    epsilon = "" if one["epsilon"] is None else f"\nepsilon {Bound(one['epsilon']):.2g}"
    return f"{_LABELS[name]}{recall}{epsilon}"
