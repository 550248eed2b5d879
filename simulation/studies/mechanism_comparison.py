"""The mechanisms at equal privacy on one population: what recall each reaches, beside what theory expects.

Theory expects less recall of a mechanism that leaves clearly more noise in the model, and the most without any noise.

Every run is a run of `scripts/simulate.py` in a process of its own, with the same settings, seed, fleet and
epsilon; only the mechanism differs, and with it the noise multiplier. Finished runs are kept, so a
comparison that was stopped goes on where it was.
"""

import itertools
import json
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.ticker import MaxNLocator
from rich.console import Console

from client_model.metrics.keyboard_metrics import PERPLEXITY, TOP1_RECALL
from client_model.metrics.metric import Metric
from client_model.metrics.table import MetricTable
from server_strategy.privacy.config import PrivacyConfig
from server_strategy.privacy.mechanisms.door import MECHANISMS, private_mechanisms
from server_strategy.privacy.mechanisms.none import KIND as NO_PRIVACY
from server_strategy.privacy.mechanisms.record import on_record
from simulation.config import RunConfig
from simulation.engine.config import EngineConfig
from simulation.files import write_text_atomically
from simulation.flags import to_toml
from simulation.run.directory import RunDirectory
from simulation.run.records import RoundRecord
from simulation.studies.plots import kind_styles, new_figure, save_figure
from simulation.tables import print_table
from typefleet.errors import ConfigError, MachineError, expected

# The default run, with a clip norm that adapts. Nothing that mechanisms do not need to differ in is changed.
SETTINGS = RunConfig(
    privacy=PrivacyConfig(clip_quantile=0.5, modelled_cohort=20_000),
    engine=EngineConfig(export=False),
)
EPSILONS = (1.0, 2.0, 4.0, 8.0)
SEEDS = (0, 1, 2)
# Fewer rounds for a smaller deployment, whose noise shows in so few.
QUICK = replace(
    SETTINGS,
    rounds=30,
    privacy=PrivacyConfig(clip_quantile=0.5, modelled_cohort=2_000),
)
QUICK_EPSILONS = (2.0,)
QUICK_SEEDS = (0,)
_RECALL = TOP1_RECALL  # that the mechanisms are ordered by
_LAST_EVALUATIONS = 3  # averaged: recall moves from one to the next
_AS_GOOD_AS_EQUAL = 0.002  # of recall: by so much one run's own moves between two of its last evaluations
_CLEARLY_MORE_NOISE = 1.1  # times as much; less than that, recall cannot tell


@dataclass(frozen=True)
class Outcome:
    """What one finished run reached, and at what cost; or several that differ in their seeds, on average."""

    mechanism: str
    epsilon: float | None  # asked for; None, as all below up to the recall, without privacy
    spent_epsilon: float | None
    rho: float | None
    noise_multiplier: float | None
    noise_in_model: float | None  # rms over rounds of the deviation in the sum of mean updates, in clip norms
    recall: float  # mean of the last evaluations
    recall_stddev: float | None  # over the seeds; None for one run
    held_out: Mapping[str, Any]  # the last evaluation, metrics by name
    curve: list[tuple[int, float]]  # (round, recall)
    wall_seconds: float
    seeds: tuple[int, ...]


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


def over_seeds(outcomes: list[Outcome]) -> list[Outcome]:
    """One outcome per mechanism and epsilon, in the order in which the first of each came."""
    cases: dict[tuple[str, float | None], list[Outcome]] = {}
    for one in outcomes:
        cases.setdefault((one.mechanism, one.epsilon), []).append(one)
    return [_mean(runs) for runs in cases.values()]


def _mean(runs: list[Outcome]) -> Outcome:
    """What several runs of one case reached on average; what they cost in privacy is the same for all."""
    first = runs[0]
    if len(runs) == 1:
        return first
    held_out = {name: _mean_of([one.held_out.get(name) for one in runs]) for name in first.held_out}
    rounds = [release for release, _ in first.curve if all(release in dict(one.curve) for one in runs)]
    return replace(
        first,
        recall=float(np.mean([one.recall for one in runs])),
        recall_stddev=float(np.std([one.recall for one in runs], ddof=1)),
        held_out=held_out,
        curve=[(release, float(np.mean([dict(one.curve)[release] for one in runs]))) for release in rounds],
        wall_seconds=sum(one.wall_seconds for one in runs),
        seeds=tuple(seed for one in runs for seed in one.seeds),
    )


def _mean_of(values: list[Any]) -> float | None:
    """None where a run has none, and for rows, which have no mean."""
    return float(np.mean(values)) if all(isinstance(value, int | float) for value in values) else None


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
    done = subprocess.run([sys.executable, "-m", "simulation", *flags], capture_output=True, text=True, check=False)
    if not done.returncode:
        return None
    return (done.stderr.strip() or done.stdout.strip() or "no reason given").splitlines()[-1]


def _outcome(run: Path, mechanism: str, epsilon: float | None, seed: int) -> Outcome:
    directory = RunDirectory(run)
    rounds = [RoundRecord.from_line(line) for line in directory.read_rounds()]
    curve = [(r.completed, r.held_out[_RECALL.name]) for r in rounds if r.held_out and _RECALL.name in r.held_out]
    measured = [(completed, recall) for completed, recall in curve if recall is not None]
    summary = directory.read_summary()
    planned = json.loads((run / "privacy.json").read_text(encoding="utf-8"))["planned"]
    return Outcome(
        mechanism=mechanism,
        epsilon=epsilon,
        spent_epsilon=summary.epsilon,
        rho=summary.zcdp_rho,
        noise_multiplier=planned["noise_multiplier"],
        noise_in_model=_noise_in_model(planned),
        recall=float(np.mean([recall for _, recall in measured[-_LAST_EVALUATIONS:]])),
        recall_stddev=None,
        held_out=summary.held_out,
        curve=measured,
        wall_seconds=summary.wall_seconds,
        seeds=(seed,),
    )


def _noise_in_model(planned: dict[str, Any]) -> float | None:
    """What theory has to say: see `server_strategy.privacy.budget`."""
    mechanism = on_record(planned["mechanism"], planned["parameters"])
    if mechanism is None:
        return None
    errors = mechanism.sum_errors(planned["rounds"])
    return float(planned["noise_multiplier"] * np.sqrt(errors.mean()) / (planned["modelled_cohort"] or planned["goal"]))


def shown_metrics(metrics: MetricTable) -> list[Metric]:
    """The columns beside the recall: every metric that is compared, and the perplexity, which noise ruins first."""
    return [metric for metric in (*metrics.compared, PERPLEXITY) if metric.name != _RECALL.name]


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
        rho, z, noise = ("-" if v is None else f"{v:.4g}" for v in (one.rho, one.noise_multiplier, one.noise_in_model))
        cells = (
            one.mechanism,
            "none" if one.epsilon is None else f"{one.epsilon:g}",
            rho,
            z,
            noise,
            _RECALL.text(one.recall) + ("" if one.recall_stddev is None else f" ± {100 * one.recall_stddev:.2f}"),
            *(metric.text(one.held_out.get(metric.name)) for metric in shown),
            f"{one.wall_seconds:.0f} s",
        )
        rows.append(cells)
    print_table(console, headings, rows)
    for line in verdicts(outcomes):
        console.print(line)


def verdicts(outcomes: list[Outcome]) -> list[str]:
    """For each epsilon the order that came out, and whether it contradicts the expected one."""
    best = next((one for one in outcomes if one.epsilon is None), None)
    lines = []
    for epsilon in sorted({one.epsilon for one in outcomes if one.epsilon is not None}):
        own = [one for one in outcomes if one.epsilon == epsilon]
        if best is None or len(own) < len(private_mechanisms()):
            continue
        by_noise = sorted([best, *own], key=_noise_of)
        contradicted = [
            f"{worse.mechanism} above {better.mechanism}"
            for better, worse in itertools.combinations(by_noise, 2)
            if _noise_of(worse) > _CLEARLY_MORE_NOISE * _noise_of(better)
            and worse.recall > better.recall + _AS_GOOD_AS_EQUAL
        ]
        verdict = "as expected" if not contradicted else f"NOT as expected: {', '.join(contradicted)}"
        lines.append(f"epsilon {epsilon:g}: {_in_order(by_noise)}: {verdict}")
    return lines


def _noise_of(one: Outcome) -> float:
    """In the model; 0 without privacy."""
    return one.noise_in_model or 0.0


def _in_order(outcomes: list[Outcome]) -> str:
    """ "gaussian < tree < banded ~ blt < none", by recall."""
    ordered = sorted(outcomes, key=lambda one: (one.recall, -_noise_of(one)))
    text = ordered[0].mechanism
    for before, one in itertools.pairwise(ordered):
        text += f" {'<' if one.recall > before.recall + _AS_GOOD_AS_EQUAL else '~'} {one.mechanism}"
    return text


def write_outcomes(folder: Path, outcomes: list[Outcome]) -> None:
    """Write comparison.json and comparison.png into the folder."""
    flat = [{**{k: v for k, v in vars(one).items() if k != "held_out"}, **one.held_out} for one in outcomes]
    content = {"outcomes": flat, "verdicts": verdicts(outcomes)}
    write_text_atomically(folder / "comparison.json", json.dumps(content, indent=2) + "\n")
    plot(folder / "comparison.png", outcomes)


def plot(path: Path, outcomes: list[Outcome]) -> None:
    """Recall against epsilon, and over the rounds at the middle one."""
    epsilons = sorted({one.epsilon for one in outcomes if one.epsilon is not None})
    figure, axes = new_figure(1, 2, (11, 4.4), "The mechanisms at equal epsilon")
    left, right = axes.flat
    middle = epsilons[len(epsilons) // 2] if epsilons else None
    for name, style in kind_styles(MECHANISMS.kinds()).items():
        own = [one for one in outcomes if one.mechanism == name]
        how = {"color": style.colour, "label": name, "ls": style.line}
        for one in own:
            if one.epsilon is None:
                left.axhline(100 * one.recall, lw=1, **how)
            if one.epsilon in (None, middle):
                right.plot([r for r, _ in one.curve], [100 * v for _, v in one.curve], **how)
        points = [(one.epsilon, 100 * one.recall) for one in own if one.epsilon is not None]
        if points:
            left.plot(*zip(*points, strict=True), marker=style.marker, **how)
    left.set(title="Recall, first suggestion", xlabel="epsilon", ylabel="% of words", xscale="log")
    left.set_xticks(epsilons, [f"{epsilon:g}" for epsilon in epsilons])
    left.set_xticks([], minor=True)
    right.set(title=f"Over the rounds, at epsilon {middle:g}" if middle else "Over the rounds", xlabel="rounds")
    right.set_ylabel("% of words")
    right.xaxis.set_major_locator(MaxNLocator(integer=True))
    for axis in (left, right):
        axis.legend(fontsize=8)
    save_figure(figure, path)
