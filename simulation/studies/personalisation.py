"""Personalisation over the held-out phones of a run: who gains, who loses, by how much text they have.

A phone's gain is the change of its recall of three suggestions on its newer messages. Phones with hardly any text are
left out, and counted.
"""

import json
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich import box
from rich.console import Console
from rich.table import Table

from client_model.config import FineTuning
from client_model.metrics.keyboard_metrics import KeyboardCounts, spelled_lookup, sum_counts
from client_model.metrics.keystrokes import keystroke_table
from client_model.text.batches import read_messages
from client_model.tflite.export_folder import FILES
from client_model.tflite.personalisation import (
    FEWEST_MESSAGES,
    PersonalKeyboard,
    PersonalOutcome,
    personalise,
)
from simulation.device.model_card import read_inside, require_weights
from simulation.files import read_json_object, write_text_atomically
from simulation.flags import read_config
from simulation.run.directory import RunDirectory
from simulation.run.preparation import prepare
from simulation.run.progress import percent
from simulation.studies.plots import BLUE, GREY, ORANGE, new_figure, save_figure
from typefleet.errors import ConfigError, unreadable

_GROUPS = ((0, 100), (100, 300), (300, 1000), (1000, None))  # tokens learned


@dataclass(frozen=True)
class PhoneGroup:
    """Phones with about as much text; None where there is nothing to count."""

    tokens_from: int
    tokens_below: int | None
    phones: int
    before: dict[str, Any] | None
    """Metrics of all their newer messages together, see `client_model.metrics.keyboard_metrics`."""
    after: dict[str, Any] | None
    by_rule: dict[str, Any] | None
    """Of the models that the rule leaves on the phones."""
    mean_gain: float | None
    mean_gain_standard_error: float | None
    share_that_gains: float | None
    share_that_loses: float | None
    share_kept: float | None
    mean_gain_by_rule: float | None
    share_that_loses_by_rule: float | None

    @property
    def name(self) -> str:
        """The range of tokens, as tables and plots show it: `100-300`, `1000-`, or `all`."""
        bounds = f"{self.tokens_from}-{self.tokens_below or ''}"
        return "all" if (self.tokens_from, self.tokens_below) == (0, None) else bounds


def play(root: Path, settings: FineTuning, phones: int, most_messages: int) -> Iterator[PersonalOutcome | None]:
    """Personalise held-out phones one after another; None for a phone with too little text.

    Args:
        root: folder of a run that was exported with all files.
        settings: of the fine-tuning.
        phones: how many at most.
        most_messages: of a phone, its newest ones.

    Raises:
        ConfigError: the run has no training file, or one of other weights.
    """
    path = RunDirectory(root).model / FILES["training"]
    try:
        file = path.read_bytes()
    except OSError as error:
        hint = "scripts/export_model.py writes it"
        raise ConfigError(f"{unreadable(path, error, 'the training file')}; {hint}") from error
    summary = read_json_object(RunDirectory(root).summary, "the outcome of a finished run", ("weights_sha256",))
    require_weights(path, read_inside(path, file)[0], summary["weights_sha256"])
    prepared = prepare(read_config(root / "config.toml"))
    spelled = spelled_lookup(prepared.vocabulary, prepared.population)
    keyboard = PersonalKeyboard(file, prepared.shape, keystroke_table(prepared.vocabulary.tokens))
    for phone in prepared.held_out_phones[:phones].tolist():
        messages = read_messages(prepared.population, spelled, phone)[-most_messages:]
        if len(messages) < FEWEST_MESSAGES:
            yield None
        else:
            yield personalise(keyboard, messages, settings, prepared.config.seed, phone)


def gains(outcomes: list[PersonalOutcome], after: Callable[[PersonalOutcome], KeyboardCounts]) -> NDArray[np.float64]:
    """Each phone's gain; phones without an in-vocabulary word in their newer messages are left out."""
    pairs = [(one.before.recall(3), after(one).recall(3)) for one in outcomes]
    return np.array([later - earlier for earlier, later in pairs if earlier is not None and later is not None])


def summarise_group(outcomes: list[PersonalOutcome], tokens_from: int, tokens_below: int | None) -> PhoneGroup:
    """The phones whose learned text lies within the bounds."""
    own = [o for o in outcomes if tokens_from <= o.learned_tokens and (tokens_below or np.inf) > o.learned_tokens]
    if not own:
        return PhoneGroup(tokens_from, tokens_below, 0, *[None] * 10)
    always, ruled = gains(own, lambda o: o.after), gains(own, lambda o: o.by_rule)
    several = len(always) > 1
    return PhoneGroup(
        tokens_from,
        tokens_below,
        len(own),
        sum_counts([o.before for o in own]).metrics(),
        sum_counts([o.after for o in own]).metrics(),
        sum_counts([o.by_rule for o in own]).metrics(),
        _mean(always),
        float(always.std(ddof=1) / np.sqrt(len(always))) if several else None,
        _mean(always > 0),
        _mean(always < 0),
        _mean(np.array([o.kept for o in own])),
        _mean(ruled),
        _mean(ruled < 0),
    )


def _mean(values: NDArray[Any]) -> float | None:
    return float(values.mean()) if len(values) else None


def summarise(outcomes: list[PersonalOutcome]) -> list[PhoneGroup]:
    """By text volume, all phones last."""
    return [summarise_group(outcomes, *bounds) for bounds in (*_GROUPS, (0, None))]


def print_table(console: Console, groups: list[PhoneGroup]) -> None:
    """Print what each group of phones gained, one row per group."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    headings = (
        *("tokens\nlearned", "\nphones", "recall@1, %\nbefore  after", "recall@3, %\nbefore  after  by rule"),
        *("keystrokes saved, %\nbefore  after", "mean gain of\nrecall@3, points", "phones, %\ngain  lose"),
        *("\nkept, %", "gain, lose\nby rule"),
    )
    for heading in headings:
        table.add_column(heading, justify="left" if heading.startswith("tokens") else "right", no_wrap=True)
    for one in groups:
        table.add_row(one.name, str(one.phones), *_cells(one))
    console.print(table)


def _cells(one: PhoneGroup) -> list[str]:
    spread = one.mean_gain_standard_error
    error = "" if spread is None else f" \N{PLUS-MINUS SIGN} {100 * spread:.2f}"

    def of(name: str, *models: dict[str, Any] | None) -> str:
        return "  ".join(_bare(None if metrics is None else metrics[name]) for metrics in models)

    return [
        of("top1_recall", one.before, one.after),
        of("top3_recall", one.before, one.after, one.by_rule),
        of("keystroke_savings", one.before, one.after),
        "-" if one.mean_gain is None else f"{100 * one.mean_gain:+.2f}{error}",
        f"{_bare(one.share_that_gains, 0)}  {_bare(one.share_that_loses, 0)}",
        _bare(one.share_kept, 0),
        f"{'-' if one.mean_gain_by_rule is None else f'{100 * one.mean_gain_by_rule:+.2f}'}"
        f"  {_bare(one.share_that_loses_by_rule, 0)}",
    ]


def _bare(share: float | None, digits: int = 2) -> str:
    return percent(share, digits).removesuffix(" %")


def write_outcomes(root: Path, outcomes: list[PersonalOutcome], left_out: int, settings: FineTuning) -> list[Path]:
    """personalisation.json and personalisation.png in the run's folder."""
    about = {
        "fine_tuning": asdict(settings),
        "phones": len(outcomes),
        "phones_with_too_little_text": left_out,
        "rule": "keep the personal model if the mean cross-entropy of the checked messages has fallen",
        "groups": [asdict(one) for one in summarise(outcomes)],
    }
    record, plot = root / "personalisation.json", root / "personalisation.png"
    write_text_atomically(record, json.dumps(about, indent=2) + "\n")
    _plot(outcomes, plot)
    return [record, plot]


def _plot(outcomes: list[PersonalOutcome], path: Path) -> None:
    figure, axes = new_figure(1, 2, (10, 4), "What held-out phones gain when the model goes on learning on them")
    counted = [o for o in outcomes if o.before.recall(3) is not None]
    tokens, gain = np.array([o.learned_tokens for o in counted]), 100 * gains(counted, lambda o: o.after)
    kept = np.array([o.kept for o in counted], bool)
    left, right = axes[0]
    left.axhline(0, color=GREY, linewidth=0.8)
    left.scatter(tokens[kept], gain[kept], s=16, color=BLUE, label="kept by the rule")
    left.scatter(tokens[~kept], gain[~kept], s=18, facecolor="none", edgecolor=ORANGE, label="not kept")
    left.set(xscale="log", xlabel="tokens learned from", ylabel="gain of recall@3, points", title="one dot a phone")
    left.legend(frameon=False)
    groups = [one for one in summarise(outcomes) if one.phones]
    x = np.arange(len(groups))
    for shift, colour, label, metrics in (
        (-0.2, GREY, "before", [g.before for g in groups]),
        (0.2, BLUE, "after", [g.after for g in groups]),
    ):
        recall = [100 * (m["top3_recall"] or 0) if m else 0 for m in metrics]
        right.bar(x + shift, recall, 0.38, color=colour, label=label)
    right.set_xticks(x, [f"{group.name}\n{group.phones} phones" for group in groups], fontsize=8)
    right.set(xlabel="tokens learned from", ylabel="recall@3, %", title="newer messages, before and after")
    right.legend(frameon=False, loc="upper left")
    right.set_ylim(top=1.25 * right.get_ylim()[1])
    save_figure(figure, path)
