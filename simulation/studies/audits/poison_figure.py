"""The picture of poison: success over the share of attackers, under each defence, and what each defence costs."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes

from client_model.metrics.keystrokes import SUGGESTIONS
from simulation.plots import GREY, new_figure, save_figure, style_number
from simulation.studies.audits.poison_play import CLIPPING, DEFENCES, NOTHING
from simulation.studies.audits.poisoners import ADAPTIVE, LABELS, NOBODY, REPLACEMENT, SENTENCE

_MARKERS = "osD^"
_Cases = Sequence[Mapping[str, Any]]
_PUSH = (SENTENCE, REPLACEMENT, ADAPTIVE)
_LABELS = {SENTENCE: "write the sentence", REPLACEMENT: "replace the model", ADAPTIVE: "adapt to the clip norm"}


def plot(path: Path, found: _Cases) -> None:
    """Draw success by share and by defence, and recall by defence, without attackers and with flipped labels.

    Args:
        path: of the PNG.
        found: as `poison_attacks.Poisoned` has them, as JSON.
    """
    usual = next(one["share"] for one in found if one["defence"] not in (NOTHING, CLIPPING))
    shares = sorted({one["share"] for one in found})
    title = "A word that attackers push: who gets it into the suggestions, and what keeps it out"
    figure, axes = new_figure(1, 2 + (len(shares) > 1), (14.5 if len(shares) > 1 else 9.5, 5.0), title)
    if len(shares) > 1:
        _by_share(axes[0, 0], found, shares)
    at_usual = [one for one in found if one["share"] == usual]
    _by_defence(axes[0, -2], at_usual, usual)
    _recall(axes[0, -1], at_usual)
    save_figure(figure, path)


def _by_share(axis: Axes, found: _Cases, shares: Sequence[float]) -> None:
    axis.axhspan(0.7, SUGGESTIONS, color=GREY, alpha=0.15, lw=0)
    axis.text(shares[0], 2.0, "suggested", fontsize=8, color=GREY, ha="left", va="center")
    for number, attack in enumerate(_PUSH):
        style = style_number(number)
        for defence, line in ((NOTHING, "--"), (CLIPPING, "-")):
            own = [one for share in shares for one in found if _is(one, attack, defence, share)]
            at, ranks = [one["share"] for one in own], [one["rank"] for one in own]
            label = f"{_LABELS[attack]}, {defence}"
            axis.plot(at, ranks, line, marker=_MARKERS[number], ms=5, color=style.colour, label=label)
    axis.set_xscale("log")
    axis.set_yscale("log")
    axis.set_xticks(shares, [f"{100 * share:g} %" for share in shares])
    axis.tick_params(axis="x", which="minor", bottom=False)
    axis.set(xlabel="attackers among the phones", ylabel="median rank of the word")
    axis.set_ylim(axis.get_ylim()[1], 0.7)
    axis.legend(fontsize=8, frameon=False, loc="upper center", bbox_to_anchor=(0.5, -0.14), ncols=2)


def _by_defence(axis: Axes, found: _Cases, share: float) -> None:
    names = _names(found)
    axis.axvspan(0.7, SUGGESTIONS, color=GREY, alpha=0.15, lw=0)
    axis.text(SUGGESTIONS, len(names) - 0.55, " suggested", fontsize=8, color=GREY, ha="left", va="bottom")
    for number, attack in enumerate((*_PUSH, NOBODY)):
        own = [one for one in found if one["attack"] == attack]
        style = style_number(number)
        places = [names.index(one["defence"]) - 0.24 + 0.16 * number for one in own]
        label = _LABELS.get(attack, "nobody attacks")
        axis.plot([one["rank"] for one in own], places, _MARKERS[number], ms=5, color=style.colour, label=label)
    _defences(axis, names)
    axis.set_xscale("log")
    axis.set(xlabel=f"median rank of the word, of {100 * share:g} % attackers", xlim=(0.7, None))
    axis.legend(fontsize=8, frameon=False, loc="upper center", bbox_to_anchor=(0.5, -0.14), ncols=2)


def _recall(axis: Axes, found: _Cases) -> None:
    names = _names(found)
    for number, (attack, label) in enumerate(((NOBODY, "nobody attacks"), (LABELS, "labels are flipped"))):
        own = [one for one in found if one["attack"] == attack and one["recall"] is not None]
        style = style_number(4 + number)
        places = [names.index(one["defence"]) + 0.12 - 0.24 * number for one in own]
        axis.plot([100 * one["recall"] for one in own], places, "os"[number], color=style.colour, label=label)
    _defences(axis, names)
    axis.tick_params(labelleft=False)
    axis.set(xlabel="recall, first suggestion, %")
    axis.grid(axis="x", color=GREY, alpha=0.2)
    axis.legend(fontsize=8, frameon=False, loc="upper center", bbox_to_anchor=(0.5, -0.14))


def _defences(axis: Axes, names: Sequence[str]) -> None:
    axis.set_yticks(range(len(names)), [name.replace("-", " ") for name in names])
    axis.set_ylim(len(names) - 0.5, -0.5)


def _names(found: _Cases) -> list[str]:
    return [name for name in DEFENCES if any(one["defence"] == name for one in found)]


def _is(one: Mapping[str, Any], attack: str, defence: str, share: float) -> bool:
    return (one["attack"], one["defence"], one["share"]) == (attack, defence, share)
