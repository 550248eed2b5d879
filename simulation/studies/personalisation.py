"""Personalisation over the held-out phones of a run: who gains, who loses, by how much text they have.

A phone's gain is the change of its recall of three suggestions on its newer messages. Phones with hardly any text are
left out, and counted. A mean gain has its interval over the phones.
"""

import json
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console

from client_model.config import FineTuning
from client_model.metrics.intervals import share_over_people
from client_model.metrics.keyboard_metrics import TOP3_RECALL
from client_model.metrics.keystrokes import keystroke_table
from client_model.metrics.metric import Counts, Metric
from client_model.metrics.scored_tokens import spelled_lookup
from client_model.metrics.table import MetricTable, sum_counts
from client_model.text.batches import phone_messages
from client_model.tflite.export_folder import FILES
from client_model.tflite.personalisation import (
    FEWEST_MESSAGES,
    PersonalKeyboard,
    PersonalOutcome,
    personalise,
)
from client_model.tflite.tried_file import tried_file
from simulation.device.model_card import read_inside, require_weights
from simulation.files import write_text_atomically
from simulation.flags import read_config
from simulation.plots import BLUE, GREY, ORANGE, new_figure, save_figure
from simulation.run.artefacts import keep_private
from simulation.run.directory import RunDirectory
from simulation.run.preparation import Prepared, prepare
from simulation.run.progress import percent
from simulation.subcommands import command
from simulation.tables import print_table
from simulation.world.consent.config import PERSONALISE
from typefleet.errors import ConfigError
from typefleet.untrusted.limits import MODEL_BYTES
from typefleet.untrusted.opening import read_bytes

_GAINED = TOP3_RECALL  # what a phone's gain is of
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
    mean_gain_low: float | None
    """Bounds of the 95 % bootstrap interval over the phones; None of fewer than two, as for the gain by rule."""
    mean_gain_high: float | None
    share_that_gains: float | None
    share_that_loses: float | None
    share_kept: float | None
    mean_gain_by_rule: float | None
    mean_gain_by_rule_low: float | None
    mean_gain_by_rule_high: float | None
    share_that_loses_by_rule: float | None

    @property
    def name(self) -> str:
        """The range of tokens, as tables and plots show it: `100-300`, `1000-`, or `all`."""
        bounds = f"{self.tokens_from}-{self.tokens_below or ''}"
        return "all" if (self.tokens_from, self.tokens_below) == (0, None) else bounds


@dataclass  # not frozen: the keyboard learns
class OpenedRun:
    """The held-out phones of an exported run, and its keyboard, which learns on one of them after the other."""

    prepared: Prepared
    keyboard: PersonalKeyboard
    phones: NDArray[np.int64]
    """Held-out phones whose owners agree to a model of their own, when the run ends."""

    @property
    def without_consent(self) -> int | None:
        """Held-out phones that are left alone; None where everybody agrees to all."""
        others = len(self.prepared.held_out_phones) - len(self.phones)
        return None if self.prepared.fleet.consents is None else others


def open_exported_run(root: Path) -> OpenedRun:
    """Read what is needed from a run's folder.

    Args:
        root: folder of a run that was exported with all files.

    Raises:
        ConfigError: the run has no training file, or one of other weights.
    """
    directory = RunDirectory(root)
    path = directory.model / FILES["training"]
    try:
        file = read_bytes(path, "the training file", ConfigError, MODEL_BYTES)
    except ConfigError as error:
        hint = f"{command('scripts/export_model.py', root)} writes it"
        raise ConfigError(f"{error}; {hint}") from error
    require_weights(path, read_inside(path, file)[0], directory.read_summary().weights_sha256)
    tried = tried_file(path, file)
    prepared = prepare(read_config(root / "config.toml", begun=True), of_run=root)
    tried.require_learning(path, prepared.shape)
    table = keystroke_table(prepared.vocabulary.tokens)
    phones = prepared.fleet.agreeing(PERSONALISE, prepared.held_out_phones, prepared.asked_at_s)
    return OpenedRun(prepared, PersonalKeyboard(file, prepared.shape, table, prepared.metrics), phones)


def play(run: OpenedRun, settings: FineTuning, phones: int, most_messages: int) -> Iterator[PersonalOutcome | None]:
    """Personalise held-out phones one after another; None for a phone with too little text.

    Args:
        run: whose phones and keyboard.
        settings: of the fine-tuning.
        phones: how many at most.
        most_messages: of a phone, its newest ones.
    """
    prepared = run.prepared
    spelled = spelled_lookup(prepared.vocabulary, prepared.population)
    for phone in run.phones[:phones].tolist():
        messages = phone_messages(prepared.population, spelled, phone)[-most_messages:]
        if len(messages) < FEWEST_MESSAGES:
            yield None
        else:
            yield personalise(run.keyboard, messages, settings, prepared.config.seed, phone)


def gains(outcomes: list[PersonalOutcome], after: Callable[[PersonalOutcome], Counts]) -> NDArray[np.float64]:
    """Each phone's gain; phones without an in-vocabulary word in their newer messages are left out."""
    pairs = [(_GAINED.value(one.before), _GAINED.value(after(one))) for one in outcomes]
    return np.array([later - earlier for earlier, later in pairs if earlier is not None and later is not None])


def summarise_group(
    outcomes: list[PersonalOutcome], metrics: MetricTable, tokens_from: int, tokens_below: int | None
) -> PhoneGroup:
    """The phones whose learned text lies within the bounds."""
    own = [o for o in outcomes if tokens_from <= o.learned_tokens and (tokens_below or np.inf) > o.learned_tokens]
    always, ruled = gains(own, lambda o: o.after), gains(own, lambda o: o.by_rule)
    interval, by_rule = (share_over_people(gain, np.ones(len(gain))) for gain in (always, ruled))

    def together(counts: list[Counts]) -> dict[str, Any] | None:
        return metrics.values(sum_counts(counts)) if counts else None

    return PhoneGroup(
        tokens_from=tokens_from,
        tokens_below=tokens_below,
        phones=len(own),
        before=together([o.before for o in own]),
        after=together([o.after for o in own]),
        by_rule=together([o.by_rule for o in own]),
        mean_gain=_mean(always),
        mean_gain_standard_error=float(always.std(ddof=1) / np.sqrt(len(always))) if len(always) > 1 else None,
        mean_gain_low=None if interval is None else interval.low,
        mean_gain_high=None if interval is None else interval.high,
        share_that_gains=_mean(always > 0),
        share_that_loses=_mean(always < 0),
        share_kept=_mean(np.array([o.kept for o in own])),
        mean_gain_by_rule=_mean(ruled),
        mean_gain_by_rule_low=None if by_rule is None else by_rule.low,
        mean_gain_by_rule_high=None if by_rule is None else by_rule.high,
        share_that_loses_by_rule=_mean(ruled < 0),
    )


def _mean(values: NDArray[Any]) -> float | None:
    return float(values.mean()) if len(values) else None


def summarise(outcomes: list[PersonalOutcome], metrics: MetricTable) -> list[PhoneGroup]:
    """By text volume, all phones last."""
    return [summarise_group(outcomes, metrics, *bounds) for bounds in (*_GROUPS, (0, None))]


def print_groups(console: Console, groups: list[PhoneGroup], metrics: MetricTable) -> None:
    """Print what each group of phones gained, one row per group."""
    headings = (
        *("tokens\nlearned", "\nphones"),
        *(f"{one.heading}\nbefore  after{'  by rule' if one == _GAINED else ''}" for one in metrics.compared),
        *(f"mean gain of\n{_GAINED.short}, points", "phones, %\ngain  lose", "\nkept, %"),
        *("mean gain\nby rule", "lose by\nrule, %"),
    )
    rows = [
        [one.name, str(one.phones), *(_measured(one, metric) for metric in metrics.compared), *_cells(one)]
        for one in groups
    ]
    print_table(console, headings, rows)
    console.print("± half of the 95 % bootstrap interval over phones; personalisation.json has its bounds")


def _measured(one: PhoneGroup, metric: Metric) -> str:
    models = (one.before, one.after, one.by_rule) if metric == _GAINED else (one.before, one.after)
    return "  ".join(metric.bare(None if values is None else values[metric.name]) for values in models)


def _cells(one: PhoneGroup) -> list[str]:
    return [
        _gain(one.mean_gain, one.mean_gain_low, one.mean_gain_high),
        f"{_bare(one.share_that_gains, 0)}  {_bare(one.share_that_loses, 0)}",
        _bare(one.share_kept, 0),
        _gain(one.mean_gain_by_rule, one.mean_gain_by_rule_low, one.mean_gain_by_rule_high),
        _bare(one.share_that_loses_by_rule, 0),
    ]


def _gain(mean: float | None, low: float | None, high: float | None) -> str:
    if mean is None:
        return "-"
    spread = "" if low is None or high is None else f" ± {50 * (high - low):.2f}"
    return f"{100 * mean:+.2f}{spread}"


def _bare(share: float | None, digits: int = 2) -> str:
    return percent(share, digits).removesuffix(" %")


def write_outcomes(
    root: Path,
    outcomes: list[PersonalOutcome],
    left_out: int,
    settings: FineTuning,
    metrics: MetricTable,
    *,
    without_consent: int | None = None,
) -> list[Path]:
    """personalisation.json and personalisation.png in the run's folder."""
    groups = summarise(outcomes, metrics)
    about = {
        "fine_tuning": asdict(settings),
        "phones": len(outcomes),
        "phones_with_too_little_text": left_out,
        **({} if without_consent is None else {"phones_without_consent": without_consent}),
        "rule": "keep the personal model if the mean cross-entropy of the checked messages has fallen",
        "groups": [asdict(one) for one in groups],
    }
    record, plot = root / "personalisation.json", root / "personalisation.png"
    write_text_atomically(record, json.dumps(about, indent=2) + "\n", private=True)
    _plot(outcomes, groups, plot)
    keep_private(root)
    return [record, plot]


def _plot(outcomes: list[PersonalOutcome], groups: list[PhoneGroup], path: Path) -> None:
    figure, axes = new_figure(1, 2, (10, 4), "What held-out phones gain when the model goes on learning on them")
    counted = [o for o in outcomes if _GAINED.value(o.before) is not None]
    tokens, gain = np.array([o.learned_tokens for o in counted]), 100 * gains(counted, lambda o: o.after)
    kept = np.array([o.kept for o in counted], bool)
    left, right = axes[0]
    left.axhline(0, color=GREY, linewidth=0.8)
    left.scatter(tokens[kept], gain[kept], s=16, color=BLUE, label="kept by the rule")
    left.scatter(tokens[~kept], gain[~kept], s=18, facecolor="none", edgecolor=ORANGE, label="not kept")
    left.set(
        xscale="log", xlabel="tokens learned from", ylabel=f"gain of {_GAINED.short}, points", title="one dot per phone"
    )
    left.legend(frameon=False)
    groups = [one for one in groups if one.phones]
    x = np.arange(len(groups))
    for shift, colour, label, models in (
        (-0.2, GREY, "before", [g.before for g in groups]),
        (0.2, BLUE, "after", [g.after for g in groups]),
    ):
        recall = [100 * (values[_GAINED.name] or 0) if values else 0 for values in models]
        right.bar(x + shift, recall, 0.38, color=colour, label=label)
    right.set_xticks(x, [f"{group.name}\n{group.phones} phones" for group in groups], fontsize=8)
    right.set(xlabel="tokens learned from", ylabel=_GAINED.heading, title="newer messages, before and after")
    right.legend(frameon=False, loc="upper left")
    right.set_ylim(top=1.25 * right.get_ylim()[1])
    save_figure(figure, path)
