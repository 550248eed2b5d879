"""The mechanisms at equal privacy on one population: what recall each reaches, beside what theory expects.

Theory expects less recall of a mechanism that leaves clearly more noise in the model, and the most without any noise.

Every run is a run of `scripts/simulate.py` in a process of its own, with the same settings, seed, fleet and
epsilon; only the mechanism differs, and with it the noise multiplier. Finished runs are kept, so a
comparison that was stopped goes on where it was.
"""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.ticker import MaxNLocator
from rich.console import Console

from client_model.metrics.intervals import shown_half
from client_model.metrics.keyboard_metrics import PERPLEXITY
from client_model.metrics.metric import Metric
from client_model.metrics.table import MetricTable
from server_strategy.pooled_evaluation import PhoneCounts
from server_strategy.privacy.config import PrivacyConfig
from server_strategy.privacy.mechanisms.door import MECHANISMS, private_mechanisms
from server_strategy.privacy.mechanisms.none import KIND as NO_PRIVACY
from server_strategy.privacy.mechanisms.record import on_record
from server_strategy.privacy.rounded_up import Bound
from server_strategy.privacy.statement_noise import REPEATABLE
from simulation.config import RunConfig
from simulation.engine.config import EngineConfig
from simulation.files import write_text_atomically
from simulation.flags import to_toml
from simulation.plots import alone, kind_styles, new_figure, save_figure
from simulation.run.directory import RunDirectory
from simulation.run.held_out_phones import read_phone_counts
from simulation.run.records import RoundRecord, Summary
from simulation.studies.mechanism_verdicts import RECALL, Outcome, how_differences_are_told, over_seeds, verdicts
from simulation.tables import print_table
from typefleet.errors import ConfigError, MachineError, expected

# The default run, with a clip norm that adapts. Nothing that mechanisms do not need to differ in is changed. The noise
# is seeded: the figures of a comparison are to come again, on chats that are public.
SETTINGS = RunConfig(
    privacy=PrivacyConfig(clip_quantile=0.5, modelled_cohort=20_000, noise_source="seeded"),
    engine=EngineConfig(export=False),
)
EPSILONS = (1.0, 2.0, 4.0, 8.0)
SEEDS = (0, 1, 2)
# Fewer rounds for a smaller deployment, whose noise shows in so few.
QUICK = replace(
    SETTINGS,
    rounds=30,
    privacy=PrivacyConfig(clip_quantile=0.5, modelled_cohort=2_000, noise_source="seeded"),
)
QUICK_EPSILONS = (2.0,)
QUICK_SEEDS = (0,)
_APART = 1.025  # so that intervals at one epsilon do not hide each other
_MODULE = "simulation"  # whose command every run is
_LAST_EVALUATIONS = 3  # averaged: recall moves from one to the next


def play(
    folder: Path,
    settings: RunConfig,
    epsilons: tuple[float, ...],
    say: Callable[[str], None],
    seeds: tuple[int, ...] = (),
) -> Iterator[list[Outcome]]:
    """Run what is missing in `folder`; yields the outcomes so far after each run, one per mechanism and epsilon.

    Args:
        folder: for the runs.
        settings: of all of them.
        epsilons: that each private mechanism is trained at.
        say: told which run begins.
        seeds: of the runs, each with its own people held out; by default that of the settings.

    Raises:
        ConfigError: the folder holds a comparison with other settings.
        MachineError: a run failed.
    """
    _same_settings(folder, settings)
    private = [(name, epsilon) for epsilon in epsilons for name in private_mechanisms()]
    cases = [(NO_PRIVACY.name, None), *private]
    wanted = [(seed, *case) for seed in seeds or (settings.seed,) for case in cases]
    outcomes: list[Outcome] = []
    for number, (seed, mechanism, epsilon) in enumerate(wanted, start=1):
        name = mechanism if epsilon is None else f"{mechanism}-epsilon-{epsilon:g}"
        run = folder / (name if seed == settings.seed else f"{name}-seed-{seed}")
        if not _is_finished(run, settings):
            say(f"run {number} of {len(wanted)}: {run.name}")
            failure = _simulate(run, folder / "config.toml", mechanism, epsilon, seed)
            if failure is not None and not _is_finished(run, settings):
                raise MachineError(expected(run, "a run that ends well", f"one that failed: {failure}"))
            if failure is not None:  # all rounds are there; a model that noise has ruined may not pass export
                say(f"  its model was not exported: {failure}")
        outcomes.append(_outcome(run, mechanism, epsilon, seed))
        yield over_seeds(outcomes)


def _same_settings(folder: Path, settings: RunConfig) -> None:
    path = folder / "config.toml"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        write_text_atomically(path, to_toml(settings))
    elif path.read_text(encoding="utf-8") != to_toml(settings):
        raise ConfigError(expected("--output-dir", "a comparison with these settings", f"{path} with others"))


def _is_finished(run: Path, settings: RunConfig) -> bool:
    try:
        summary = RunDirectory(run).read_summary()
    except ConfigError:  # not there yet, or not whole
        return False
    return summary.rounds_completed == settings.rounds


def _simulate(run: Path, config: Path, mechanism: str, epsilon: float | None, seed: int) -> str | None:
    """Run it, or go on with it; what it said if it failed."""
    if (run / "config.toml").exists():
        flags = ["--resume", str(run)]
    else:
        flags = [
            "--config",
            str(config),
            "--seed",
            str(seed),
            "--privacy.mechanism",
            mechanism,
            "--output-dir",
            str(run),
        ]
        flags += [] if epsilon is None else ["--privacy.target-epsilon", str(epsilon)]
    done = subprocess.run([sys.executable, "-m", _MODULE, *flags], capture_output=True, text=True, check=False)
    if not done.returncode:
        return None
    return (done.stderr.strip() or done.stdout.strip() or "no reason given").splitlines()[-1]


def _outcome(run: Path, mechanism: str, epsilon: float | None, seed: int) -> Outcome:
    directory = RunDirectory(run)
    rounds = [RoundRecord.from_line(line) for line in directory.read_rounds()]
    curve = [(r.completed, r.held_out[RECALL.name]) for r in rounds if r.held_out and RECALL.name in r.held_out]
    measured = [(completed, recall) for completed, recall in curve if recall is not None]
    summary = directory.read_summary()
    planned = json.loads((run / "privacy.json").read_text(encoding="utf-8"))["planned"]
    recall = float(np.mean([recall for _, recall in measured[-_LAST_EVALUATIONS:]]))
    return Outcome(
        mechanism=mechanism,
        epsilon=epsilon,
        spent_epsilon=summary.epsilon,
        rho=summary.zcdp_rho,
        noise_multiplier=planned["noise_multiplier"],
        noise_source=summary.noise_source,
        noise_in_model=_noise_in_model(planned),
        recall=recall,
        recall_by_seed={seed: recall},
        held_out=summary.held_out,
        curve=measured,
        wall_seconds=summary.wall_seconds,
        seeds=(seed,),
        phones=_all_people(directory, summary),
    )


def _all_people(directory: RunDirectory, summary: Summary) -> PhoneCounts | None:
    """None where the table is missing, or may lack owners who do not agree to telemetry."""
    if summary.consent is not None or not directory.held_out_phones.exists():
        return None
    return read_phone_counts(directory.held_out_phones)


def _noise_in_model(planned: dict[str, Any]) -> float | None:
    """What theory has to say: see `server_strategy.privacy.budget`."""
    mechanism = on_record(planned["mechanism"], planned["parameters"])
    if mechanism is None:
        return None
    errors = mechanism.sum_errors(planned["rounds"])
    return float(planned["noise_multiplier"] * np.sqrt(errors.mean()) / (planned["modelled_cohort"] or planned["goal"]))


def shown_metrics(metrics: MetricTable) -> list[Metric]:
    """The columns beside the recall: every metric that is compared, and the perplexity, which noise ruins first."""
    return [metric for metric in (*metrics.compared, PERPLEXITY) if metric.name != RECALL.name]


def print_outcomes(console: Console, outcomes: list[Outcome], metrics: MetricTable) -> None:
    """Print one line per run, and whether the expected order came out."""
    shown = shown_metrics(metrics)
    headings = (
        *("mechanism", "epsilon", "rho", "noise\nmultiplier", "noise in\nthe model", "recall"),
        *(metric.short or metric.label for metric in shown),
        "time",
    )
    rows = []
    for one in outcomes:
        bound = None if one.rho is None else Bound(one.rho)
        rho, z, noise = ("-" if v is None else f"{v:.4g}" for v in (bound, one.noise_multiplier, one.noise_in_model))
        cells = (
            one.mechanism,
            "none" if one.epsilon is None else f"{one.epsilon:g}",
            rho,
            z,
            noise,
            RECALL.text(one.recall) + _half_width_text(one),
            *(metric.text(one.held_out.get(metric.name)) for metric in shown),
            f"{one.wall_seconds:.0f} s",
        )
        rows.append(cells)
    print_table(console, headings, rows)
    for metric in shown:
        if any(metric.has_diverged(one.held_out.get(metric.name)) for one in outcomes):
            console.print(f"diverged, {metric.label.strip()}: {metric.diverged_why}", markup=False)
    for line in (*verdicts(outcomes), *how_differences_are_told(outcomes)):
        console.print(line)
    if any(one.noise_source == "seeded" for one in outcomes):
        console.print(f"Noise is seeded, so that these figures come again; {REPEATABLE}.")


def _half_width_text(one: Outcome) -> str:
    interval = one.interval
    return (
        ""
        if interval is None or interval.half_width is None
        else f" ± {shown_half(f'{100 * interval.half_width:.2f}')}"
    )


def write_outcomes(folder: Path, outcomes: list[Outcome]) -> None:
    """Write comparison.json and comparison.png into the folder."""
    content = {
        "outcomes": [_as_json(one) for one in outcomes],
        "verdicts": verdicts(outcomes),
        "how": how_differences_are_told(outcomes),
    }
    write_text_atomically(folder / "comparison.json", json.dumps(content, indent=2) + "\n")
    plot(folder / "comparison.png", outcomes)


def _as_json(one: Outcome) -> dict[str, Any]:
    """Flat, with the bounds of the recall; None where there is no interval."""
    interval = one.interval
    own = {name: value for name, value in vars(one).items() if name not in ("held_out", "phones")}
    bounds = {
        "recall_low": None if interval is None else interval.low,
        "recall_high": None if interval is None else interval.high,
        "recall_interval_over": None if interval is None else interval.over,
    }
    return {**own, **bounds, **one.held_out}


def plot(path: Path, outcomes: list[Outcome]) -> None:
    """Recall against epsilon with its 95 % intervals, and over the rounds at the middle one."""
    epsilons = sorted({one.epsilon for one in outcomes if one.epsilon is not None})
    figure, axes = new_figure(1, 2, (11, 4.4), "The mechanisms at equal epsilon")
    left, right = axes.flat
    middle = epsilons[len(epsilons) // 2] if epsilons else None
    styles = kind_styles(MECHANISMS.kinds())
    for number, (name, style) in enumerate(styles.items()):
        apart = _APART ** (number - len(styles) / 2)
        own = [one for one in outcomes if one.mechanism == name]
        how = {"color": style.colour, "label": name, "ls": style.line}
        for one in own:
            if one.epsilon is None:
                left.axhline(100 * one.recall, lw=1, **how)
            if one.epsilon in (None, middle):
                marker = alone(one.curve, style.marker)
                right.plot([r for r, _ in one.curve], [100 * v for _, v in one.curve], marker=marker, **how)
        points = [(apart * one.epsilon, 100 * one.recall) for one in own if one.epsilon is not None]
        if points:
            left.plot(*zip(*points, strict=True), marker=style.marker, **how)
            bars = [None if one.interval is None else one.interval.half_width for one in own]
            for (x, y), half in zip(points, bars, strict=True):
                if half is not None:
                    left.errorbar(x, y, yerr=100 * half, color=style.colour, lw=0.8, capsize=2)
    left.set(title="Recall, first suggestion", xlabel="epsilon", ylabel="%", xscale="log")
    left.set_xticks(epsilons, [f"{epsilon:g}" for epsilon in epsilons])
    left.set_xticks([], minor=True)
    right.set(title=f"Over the rounds, at epsilon {middle:g}" if middle else "Over the rounds", xlabel="rounds")
    right.set_ylabel("%")
    right.xaxis.set_major_locator(MaxNLocator(integer=True))
    for axis in (left, right):
        axis.legend(fontsize=8)
    save_figure(figure, path)
