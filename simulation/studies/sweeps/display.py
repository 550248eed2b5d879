"""What a person sees of a sweep: a live table while it goes on, and what it came to."""

import math
import re
import time
from collections.abc import Iterable, Sequence
from decimal import Decimal
from pathlib import Path
from typing import TextIO

import numpy as np
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.text import Text

from client_model.metrics.intervals import Interval, shown_half, value_and_half, why_so_wide
from client_model.metrics.metric import Metric
from server_strategy.privacy.rounded_up import Bound
from server_strategy.privacy.statement_noise import REPEATABLE
from simulation.config import RunConfig
from simulation.settings import choose, leaves
from simulation.steps import clock
from simulation.studies.sweeps.cost import TuningCost
from simulation.studies.sweeps.desk import Desk
from simulation.studies.sweeps.results import (
    SweepResult,
    TrialResult,
    is_close_to_best,
    metric_of,
    trial_results,
)
from simulation.studies.sweeps.study_file import Study
from simulation.tables import console_for, print_table

_MOST_LINES = 12  # of trials, on a terminal, while it goes on
_OFTEN_S, _PIPE_EVERY_S = 1.0, 60.0


class SweepDisplay:
    """Shows how a sweep goes: live on a terminal; in a pipe a line for what ends, and after a minute without one.

    Use as a context manager.
    """

    def __init__(self, stream: TextIO, desk: Desk) -> None:
        self._desk = desk
        self._console = console_for(stream)
        self._live = Live(console=self._console, auto_refresh=False, transient=True) if stream.isatty() else None
        self._told = self._ended()
        self._looked, self._said_s = 0.0, time.monotonic()
        self._to_confirm = self._missing = 0  # runs on people held out, when the first began and when last looked at
        self._began, self._done_before, self._done = time.monotonic(), len(self._told), len(self._told)

    def __enter__(self) -> "SweepDisplay":
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live is not None:
            self._live.stop()

    def say(self, text: str) -> None:
        """Print a line of its own."""
        self._said_s = time.monotonic()
        print_line(self._console, text)

    def watch(self) -> None:
        """Look how far it is, and show it if a while has passed."""
        if time.monotonic() - self._looked < _OFTEN_S:
            return
        self._looked = time.monotonic()
        ended = self._ended()
        untold = {number for number, attempt in ended - self._told}
        if untold:
            desk, self._done = self._desk, len(ended) - len(untold)
            for trial in trial_results(desk.folder, desk.study, desk.search):
                if trial.number in untold:
                    self._done += 1
                    self.say(f"{self._counter()}  {trial_line(trial, desk.study)}")
        self._told, self._done = self._told | ended, len(ended)
        self._say_how_it_confirms()
        if self._live is not None:
            self._live.update(self._picture(), refresh=True)
        elif time.monotonic() - self._said_s >= _PIPE_EVERY_S:
            self.say("; ".join((self._how_far(), *(f"{name}: {how}" for name, how in self._running()))))

    def _say_how_it_confirms(self) -> None:
        """What is done, before its first run; then each run that is over, but for the last, which the table follows."""
        missing = self._desk.progress.confirming
        if missing is None:
            return
        if not self._to_confirm:
            self._to_confirm = missing
            runs = counted(self._desk.study.options.seeds, "run")
            self.say(
                "confirming on people held out, on whom no trial was measured: the best setting and the study's own "
                f"without the search, {runs} each"
            )
        elif missing < self._missing:
            self.say(self._how_far())
        self._missing = missing

    def _how_far(self) -> str:
        missing = self._desk.progress.confirming
        if missing is None:
            return f"{self._counter()}  {self._time_left()}".rstrip()
        return f"confirmed {self._to_confirm - missing}/{self._to_confirm} runs"

    def _running(self) -> list[tuple[str, str]]:
        return list(self._desk.progress.running.items())[:_MOST_LINES]

    def _ended(self) -> set[tuple[int, int]]:
        """Trials that have ended, each with how many attempts at it failed: one that is tried again is told again."""
        return {(one.number, len(one.causes)) for one in self._desk.search.trials() if one.state.is_finished()}

    def _counter(self) -> str:
        return f"trial {self._done}/{self._desk.progress.total}"

    def _picture(self) -> RenderableType:
        first = Text(self._how_far(), no_wrap=True, overflow="ellipsis")
        running = (Text(f"  {name}  {how}", no_wrap=True, overflow="ellipsis") for name, how in self._running())
        return Group(first, *running)

    def _time_left(self) -> str:
        done, total = self._done - self._done_before, self._desk.progress.total
        elapsed_s = time.monotonic() - self._began
        if done <= 0:
            return f"{clock(elapsed_s)} so far"
        return f"{clock(elapsed_s / done * (total - self._done))} left" if self._done < total else ""


def counted(number: int, what: str) -> str:
    """`1 seed`, `3 seeds`.

    Args:
        number: how many.
        what: one of them.
    """
    return f"{number} {what}{'' if number == 1 else 's'}"


def trial_line(trial: TrialResult, study: Study) -> str:
    """A trial in one line."""
    metric = metric_of(study)
    setting = ", ".join(f"{_short(name)} {_value(value)}" for name, value in trial.setting.items())
    if trial.state == "failed":
        return f"{setting}  failed: {trial.cause}"
    if trial.reached is None:
        return f"{setting}  {trial.state}"
    return f"{setting}  {metric.short or metric.label} {value_and_half(trial.reached, metric)}"


def print_result(stream: TextIO, result: SweepResult, files: Sequence[Path]) -> None:
    """The closing table, best first, what it cost in privacy, and where everything is."""
    console = console_for(stream)
    metric, done = result.metric, [trial for trial in result.trials if trial.reached is not None]
    print_table(console, *_table(result), left=range(1, 1 + len(result.names)))
    for trial in result.trials:
        for line in _failures(trial):
            print_line(console, line)
    about = (*_verdict(result, done), *_confirmed(result, metric), *_rounded_apart(result, done))
    for line in (*about, *cost_lines(result.cost)):
        print_line(console, line)
    for path in files:
        console.print(str(path), markup=False, soft_wrap=True)


def _failures(trial: TrialResult) -> list[str]:
    """Why attempts at a trial failed, a line each; also of one that a later attempt finished."""
    if trial.state == "failed" and len(trial.causes) == 1:
        return [f"trial {trial.number} failed: {trial.cause}"]
    return [f"trial {trial.number} failed, attempt {i}: {cause}" for i, cause in enumerate(trial.causes, start=1)]


def print_line(console: Console, text: str) -> None:
    """A line of text: wrapped between words on a terminal, left whole in a pipe."""
    console.print(text, markup=False, soft_wrap=not console.is_terminal)


def _table(result: SweepResult) -> tuple[list[str], list[list[str]]]:
    metric = result.metric
    headings = ["trial", *(_short(name) for name in result.names)]
    behind = f"behind the best{', points' if metric.unit == 'percent' else ''}"
    headings += [metric.short or metric.label, behind, "epsilon", "time"]
    rank = {trial.number: position for position, trial in enumerate(_by_value(result))}
    rows = []
    for trial in sorted(result.trials, key=lambda t: (rank.get(t.number, len(rank)), t.number)):
        reached = trial.state if trial.reached is None else value_and_half(trial.reached, metric)
        rows.append(
            [
                str(trial.number),
                *(_value(value) for value in trial.setting.values()),
                reached,
                "the best" if trial.number == result.best else _behind(trial, metric),
                "-" if trial.epsilon is None else f"{Bound(trial.epsilon):.2f}",
                f"{trial.wall_seconds:.0f} s",
            ]
        )
    return headings, rows


def _by_value(result: SweepResult) -> Iterable[TrialResult]:
    done = [trial for trial in result.trials if trial.reached is not None]
    best = next((trial for trial in done if trial.number == result.best), None)
    others = [trial for trial in done if trial is not best]
    behind = {trial.number: 0.0 if trial.behind_best is None else abs(trial.behind_best.mean) for trial in others}
    return [*([] if best is None else [best]), *sorted(others, key=lambda trial: (behind[trial.number], trial.number))]


def _behind(trial: TrialResult, metric: Metric) -> str:
    """A difference only where its interval shows one."""
    if trial.behind_best is None:
        return "-"
    return f"{_difference(trial.behind_best, metric)}{' (none shown)' if is_close_to_best(trial) else ''}"


def _verdict(result: SweepResult, done: Sequence[TrialResult]) -> list[str]:
    if not done:
        return ["no trial has finished"]
    best = next(trial for trial in done if trial.number == result.best)
    lines = [*_what_intervals_are(best, done), *_unequal_privacy(done)]
    close = [trial.number for trial in done if is_close_to_best(trial)]
    if close:
        others = f"trial{'' if len(close) == 1 else 's'} {', '.join(map(str, close))}"
        lines.append(f"trial {best.number} is the best; no difference from it is shown for {others}")
    elif len(done) > 1:
        lines.append(f"trial {best.number} is the best, and better than every other beyond its interval")
    return lines


def _what_intervals_are(best: TrialResult, done: Sequence[TrialResult]) -> list[str]:
    over, number = best.reached.over if best.reached else "", best.reached.number if best.reached else 0
    if number == 1:
        return ["one seed and no counts per person: no interval"]
    wide = why_so_wide(number) if over == "seeds" else None
    lines = [f"± is half of a 95 % interval over {number} {over}{f', {wide}' if wide else ''}"]
    intervals = [one for trial in done for one in (trial.reached, trial.behind_best) if one is not None]
    if over == "seeds" and any(one.half_width is None and one.number > 1 for one in intervals):
        lines.append(f"without ±: {number} seeds that gave the same value, which tells no spread, or values too large")
    return lines


def _unequal_privacy(done: Sequence[TrialResult]) -> list[str]:
    epsilons = sorted({trial.epsilon for trial in done}, key=lambda epsilon: epsilon or math.inf)
    told = ["none" if e is None else f"{Bound(e):.2f}" for e in epsilons]
    if len(set(told)) < 2 or len({None if e is None else round(e, 2) for e in epsilons}) < 2:
        return []
    shown = f"{told[0]} to {told[-1]}"
    return [f"NOT at equal privacy: epsilon is {shown}; privacy.target_epsilon in [settings] makes it the same for all"]


def _confirmed(result: SweepResult, metric: Metric) -> list[str]:
    if result.confirmation is None:
        return []
    found = result.confirmation
    gain = f"{_difference(found.gain, metric)}{' points' if metric.unit == 'percent' else ''}"
    shown = "" if found.gain.leaves_out_zero else "; no difference shown"
    return [
        f"on people held out: {value_and_half(found.chosen, metric)} with the chosen setting, "
        f"{value_and_half(found.unchanged, metric)} without the search's changes; gain {gain}{shown}"
    ]


def _rounded_apart(result: SweepResult, done: Sequence[TrialResult]) -> list[str]:
    """Why a difference is another than that of the figures beside it, where one is."""
    best = next((trial.reached for trial in done if trial.number == result.best), None)
    found = [(best, trial.reached, trial.behind_best) for trial in done]
    if (sure := result.confirmation) is not None:
        found.append((sure.chosen, sure.unchanged, sure.gain))
    if not any(_differs_in_digits(result.metric, *three) for three in found):
        return []
    return ["differences are taken before rounding: their last digit may be one off from that of the figures shown"]


def _differs_in_digits(metric: Metric, value: Interval | None, other: Interval | None, gap: Interval | None) -> bool:
    texts = [metric.bare(one.mean).replace(",", "") for one in (value, other, gap) if one is not None]
    if len(texts) < 3 or not all(re.fullmatch(r"-?\d+(\.\d+)?", text) for text in texts):  # diverged, or very large
        return False
    first, second, told = map(Decimal, texts)
    return first - second != told


def cost_lines(cost: TuningCost) -> list[str]:
    """What tuning cost in privacy, in words."""
    if cost.why_not is not None:
        return [f"privacy of all runs together: none to state, since {cost.why_not}"]
    lines = [
        f"privacy of all {cost.runs} runs together: epsilon {Bound(cost.epsilon):.2f} at delta {Bound(cost.delta):.2g} "
        f"(rho {Bound(cost.rho):.3g}), by composition, of {cost.epsilon_is_of}",
    ]
    if cost.noise_repeats:
        lines.append(
            "  that is of runs with noise of their own: here the noise is seeded, and runs of one seed draw the same; "
            + REPEATABLE
        )
    if cost.epsilon_of_chosen is not None:
        lines.append(
            "  a search that draws its settings at random, and how many, too, could claim epsilon "
            f"{Bound(cost.epsilon_of_chosen):.2f} for the one that it chooses (Papernot and Steinke 2021, Theorem 2); "
            "this one may not"
        )
    return lines


def print_cost_of_starting(console: Console, desk: Desk) -> None:
    """How much of a run's time a kept engine saves."""
    first, *later = desk.progress.begin_seconds or [0.0]
    if later:
        print_line(
            console,
            f"workers were started once: the first run had its first round after {first:.1f} s, the others after "
            f"{np.median(later):.1f} s",
        )


def _difference(found: Interval, metric: Metric) -> str:
    """A difference and its half width, as a column has it: of a share, in points."""
    text, half = metric.bare(found.mean), found.half_width
    return text if half is None else f"{text} ± {shown_half(metric.bare(half))}"


def _short(name: str) -> str:
    """The last part of a dotted name, or all of it where two settings share one."""
    own = name.split(".")[-1]
    alike = [path for path in leaves(choose(RunConfig(), {})) if path[-1] == own]
    return (name if len(alike) > 1 else own).replace("_", " ").replace(".", " ")


def _value(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
