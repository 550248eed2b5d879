"""The picture of what updates tell: from one update over sums and clipping to noise, and what each of them hides."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from simulation.plots import BLUE, GREY, ORANGE, new_figure, save_figure
from simulation.studies.audits.update_sums import CLIPPED, DEPLOYMENT, SIMULATION, SUM
from simulation.studies.audits.word_phones import ANYBODY, ONE
from simulation.studies.audits.words_told import COMMON_WORDS

_TITLES = {
    SUM: "the sum alone",
    CLIPPED: "+ clipping",
    SIMULATION: "+ noise of a simulation,\nscaled down to so few phones",
    DEPLOYMENT: "+ noise of a deployment,\nall of it",
}
_ROWS = {
    ONE: ("Which words did\nthis one phone write?", BLUE),
    ANYBODY: ("Which words did\nanybody in the sum write?", ORANGE),
}


def plot(path: Path, told: Sequence[Mapping[str, Any]]) -> None:
    """Draw a column for each protection, each with those before it, and a row for each question.

    Args:
        path: of the PNG.
        told: as `words_told.Told` has them, as JSON.
    """
    protections = [name for name in _TITLES if any(one["protection"] == name for one in told)]
    figure, axes = new_figure(len(_ROWS), len(protections), (2.1 * len(protections) + 1.2, 5.6), "")
    figure.suptitle("What phones' updates tell of the words they wrote, and what hides it", fontsize=12, weight="bold")
    for row, whose in enumerate(_ROWS):
        for column, protection in enumerate(protections):
            axis = axes[row, column]
            _panel(axis, [one for one in told if (one["whose"], one["protection"]) == (whose, protection)], whose)
            axis.tick_params(labelbottom=row == len(_ROWS) - 1, labelleft=column == 0)
            if row == 0:
                axis.set_title(_TITLES[protection])
            if column == 0:
                axis.set_ylabel(_ROWS[whose][0])
    axes[0, 0].annotate(
        "one update",
        (1, 100),
        (1.7, 100),
        fontsize=8,
        va="center",
        arrowprops={"arrowstyle": "-", "lw": 0.6, "color": GREY, "shrinkB": 4},
    )
    axes[0, 0].legend(fontsize=8, loc="upper right", bbox_to_anchor=(1.02, 0.88), frameon=False, handlelength=1.6)
    of = f"Share of the words after the {COMMON_WORDS} commonest that are among as many guesses, with 95 % intervals"
    figure.supxlabel(f"phones whose updates are added up\n\n{of}", fontsize=9)
    save_figure(figure, path, private=True)


def _panel(axis: Any, own: Sequence[Mapping[str, Any]], whose: str) -> None:
    colour = _ROWS[whose][1]
    own = [one for one in own if one["found_uncommon"] and one["guessed_uncommon"]]
    phones = [one["phones"] for one in own]
    found, guessed = ([100 * one[name]["mean"] for one in own] for name in ("found_uncommon", "guessed_uncommon"))
    axis.fill_between(phones, guessed, found, color=colour, alpha=0.13, lw=0)
    axis.plot(phones, guessed, color=GREY, lw=1.2, ls=(0, (4, 2)), label="guessed without it", zorder=3)
    axis.plot(phones, found, color=colour, lw=2, marker="o", ms=5, label="recovered")
    for one, at in zip(own, phones, strict=True):
        interval = one["found_uncommon"]
        if interval["low"] is not None:
            axis.vlines(at, 100 * interval["low"], 100 * interval["high"], color=colour, lw=1.2)
    axis.set(xscale="log", xlim=(0.7, 1.45 * max(phones, default=1)), ylim=(0, 106))
    axis.set_xticks(phones, [str(n) for n in phones])
    axis.set_xticks([], minor=True)
    axis.set_yticks([0, 25, 50, 75, 100], ["0", "25", "50", "75", "100 %"])
    axis.grid(axis="y", color="#e6e6e6", lw=0.6)
    axis.set_axisbelow(True)
