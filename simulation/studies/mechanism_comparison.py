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
from rich.console import Console

from client_model.config import DataConfig, ModelConfig, TrainingConfig
from client_model.metrics.config import EvaluationConfig
from client_model.metrics.keyboard_metrics import PERPLEXITY, TOP1_RECALL
from client_model.metrics.metric import Metric
from client_model.metrics.table import MetricTable
from server_strategy.config import CohortConfig
from server_strategy.optimizers.config import ServerOptimizerConfig
from server_strategy.privacy.config import PrivacyConfig
from server_strategy.privacy.mechanisms.door import MECHANISMS, private_mechanisms
from server_strategy.privacy.mechanisms.none import KIND as NO_PRIVACY
from server_strategy.privacy.mechanisms.record import on_record
from simulation.config import RunConfig
from simulation.files import write_text_atomically
from simulation.flags import to_toml
from simulation.run.directory import RunDirectory
from simulation.run.records import RoundRecord
from simulation.studies.plots import kind_styles, new_figure, save_figure
from simulation.tables import print_table
from simulation.world.config import FleetConfig
from simulation.world.policies.base import RoundSettings
from typefleet.errors import ConfigError, MachineError, expected

# Small enough for a dozen runs in half an hour. The modelled cohort is where independent noise costs much of
# the recall and correlated noise need not; with a step size of 3 instead of 1 independent noise diverges there.
SETTINGS = RunConfig(
    rounds=200,
    data=DataConfig(vocabulary_phones=1500),
    model=ModelConfig(vocabulary_size=2000, embedding_size=48, units=128),
    training=TrainingConfig(max_sequences=32),
    evaluation=EvaluationConfig(every_rounds=20, max_phones=300),
    cohort=CohortConfig(goal=25, min_separation_rounds=25, policy_settings=RoundSettings(pause_s=300.0)),
    privacy=PrivacyConfig(clip_norm=1.0, modelled_cohort=600),
    server_optimizer=ServerOptimizerConfig(name="momentum", learning_rate=1.0),
    fleet=FleetConfig(size=3000),
)
EPSILONS = (1.0, 3.0, 9.0)
QUICK = replace(
    SETTINGS,
    rounds=60,
    cohort=CohortConfig(goal=20, min_separation_rounds=12, policy_settings=RoundSettings(pause_s=300.0)),
    privacy=PrivacyConfig(clip_norm=1.0, modelled_cohort=250),
    evaluation=EvaluationConfig(every_rounds=10, max_phones=150),
)
QUICK_EPSILONS = (3.0,)
_RECALL = TOP1_RECALL  # that the mechanisms are ordered by
_LAST_EVALUATIONS = 3  # averaged: recall moves from one to the next
_AS_GOOD_AS_EQUAL = 0.002  # of recall: by so much one run's own moves between two of its last evaluations
_CLEARLY_MORE_NOISE = 1.1  # times as much; less than that, recall cannot tell


@dataclass(frozen=True)
class Outcome:
    """What one finished run reached, and at what cost."""

    mechanism: str
    epsilon: float | None  # asked for; None, as all below up to the recall, without privacy
    spent_epsilon: float | None
    rho: float | None
    noise_multiplier: float | None
    noise_in_model: float | None  # rms over rounds of the deviation in the sum of mean updates, in clip norms
    recall: float  # mean of the last evaluations
    held_out: Mapping[str, Any]  # the last evaluation, metrics by name
    curve: list[tuple[int, float]]  # (round, recall)
    wall_seconds: float


def play(
    folder: Path, settings: RunConfig, epsilons: tuple[float, ...], say: Callable[[str], None]
) -> Iterator[list[Outcome]]:
    """Run what is missing in `folder`; yields all outcomes so far after each run.

    Raises:
        ConfigError: the folder holds a comparison with other settings.
        MachineError: a run failed.
    """
    _same_settings(folder, settings)
    private = [(name, epsilon) for epsilon in epsilons for name in private_mechanisms()]
    wanted = [(NO_PRIVACY.name, None), *private]
    outcomes: list[Outcome] = []
    for number, (mechanism, epsilon) in enumerate(wanted, start=1):
        run = folder / (mechanism if epsilon is None else f"{mechanism}-epsilon-{epsilon:g}")
        if not _is_finished(run, settings):
            say(f"run {number} of {len(wanted)}: {run.name}")
            failure = _simulate(run, folder / "config.toml", mechanism, epsilon)
            if failure is not None and not _is_finished(run, settings):
                raise MachineError(expected(run, "a run that ends well", f"one that failed: {failure}"))
            if failure is not None:  # all rounds are there; a model that noise has ruined may not pass export
                say(f"  its model was not exported: {failure}")
        outcomes.append(_outcome(run, mechanism, epsilon))
        yield outcomes


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


def _simulate(run: Path, config: Path, mechanism: str, epsilon: float | None) -> str | None:
    """Run it, or go on with it; what it said if it failed."""
    if (run / "config.toml").exists():
        flags = ["--resume", str(run)]
    else:
        flags = ["--config", str(config), "--privacy.mechanism", mechanism, "--output-dir", str(run)]
        flags += [] if epsilon is None else ["--privacy.target-epsilon", str(epsilon)]
    done = subprocess.run([sys.executable, "-m", "simulation", *flags], capture_output=True, text=True, check=False)
    if not done.returncode:
        return None
    return (done.stderr.strip() or done.stdout.strip() or "no reason given").splitlines()[-1]


def _outcome(run: Path, mechanism: str, epsilon: float | None) -> Outcome:
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
        held_out=summary.held_out,
        curve=measured,
        wall_seconds=summary.wall_seconds,
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
            _RECALL.text(one.recall),
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
    right.set_ylim(bottom=0)
    for axis in (left, right):
        axis.legend(fontsize=8)
    save_figure(figure, path)
