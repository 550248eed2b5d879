"""A run as an object: made or resumed, kept durable, summed up, finished."""

import hashlib
import json
import secrets
import shutil
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from client_model.client_data import phone_labels
from client_model.export_tflite import Export
from client_model.language_model import flatten, unflatten
from server_strategy.dp_fedavg import DPFedAvg
from server_strategy.privacy_ledger import privacy_spent
from server_strategy.privacy_statement import StatementFacts, privacy_json, privacy_markdown
from simulation.checkpoint import load_newest_checkpoint, save_checkpoint, write_text_atomically
from simulation.config import ConfigError, RunConfig
from simulation.export import export_at_the_end
from simulation.flags import result_settings, to_toml
from simulation.participation import overall, participation_by_group, phone_groups, recall_by_group
from simulation.preparation import Prepared
from simulation.progress import RunProgress
from simulation.records import Evaluation, RunDirectory, RunTotals, new_run_directory, summarise
from simulation.report import plan_lines
from simulation.starting_point import starting_weights
from simulation.trace_reader import coverage_beside

_MOST_PHONES_READ = 50_000  # to group phones by their text; a millisecond's work for each twenty


@dataclass
class Run:
    """A run in progress."""

    prepared: Prepared
    directory: RunDirectory
    strategy: DPFedAvg
    flat: NDArray[np.float32]  # [num_weights]
    salt: str
    totals: RunTotals = field(default_factory=RunTotals)
    evaluation: Evaluation = field(default_factory=Evaluation)
    tokens_by_phone: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))  # trained on so far
    last_checkpoint_s: float = 0.0  # wall seconds, for the profile

    @property
    def config(self) -> RunConfig:
        """The settings."""
        return self.prepared.config

    @property
    def finished(self) -> bool:
        """All rounds are completed, or no further one may be."""
        return self.totals.stopped_early is not None or self.totals.rounds_completed >= self.config.rounds


def start_run(prepared: Prepared, resume: bool, progress: RunProgress) -> Run:
    """Make the run's folder, or open it at its newest checkpoint."""
    run = _resume_run(prepared, progress) if resume else _new_run(prepared, progress)
    _introduce(run, progress)
    return run


def _strategy(prepared: Prepared, ledger_path: Path, salt: str) -> DPFedAvg:
    config = prepared.config

    def labels(phones: NDArray[np.int64]) -> NDArray[np.uint64]:
        return np.array([int(label, 16) for label in phone_labels(salt, prepared.digests[phones])], np.uint64)

    return DPFedAvg(
        prepared.cohorts,
        len(prepared.digests),
        cohort=config.cohort,
        privacy=config.privacy,
        rounds=config.rounds,
        optimizer=config.server_optimizer,
        seed=config.seed,
        ledger_path=ledger_path,
        labels=labels,
        phones_per_message=config.engine.devices_per_message,
        evaluation_phones=prepared.held_out_phones,
        evaluate_every=config.evaluation.every_rounds,
        message_timeout_s=config.engine.message_timeout_s,
    )


def _new_run(prepared: Prepared, progress: RunProgress, directory: RunDirectory | None = None) -> Run:
    config = prepared.config
    weights = starting_weights(prepared.start, config, prepared.shape, progress.say)
    directory = directory or new_run_directory(config.output_dir, to_toml(config))
    # A secret of this run: labels in its logs cannot be matched with other runs or with user ids.
    salt = secrets.token_hex(16)
    run = Run(prepared, directory, _strategy(prepared, directory.ledger, salt), flatten(weights), salt)
    run.tokens_by_phone = np.zeros(len(prepared.digests), np.int64)
    checkpoint(run)
    return run


def _resume_run(prepared: Prepared, progress: RunProgress) -> Run:
    config = prepared.config
    if config.output_dir is None:
        raise ConfigError("--resume: expected the folder of a run, found none")
    directory = RunDirectory(config.output_dir)
    if not any(directory.checkpoints.glob("checkpoint-*")) and not directory.rounds.exists():
        progress.say(f"{directory.root} was stopped before its first round; starting it anew")
        return _new_run(prepared, progress, directory)
    stored, notes = load_newest_checkpoint(directory.checkpoints)
    for note in notes:
        progress.say(f"note: {note}")
    arrays, about = stored
    if about["fingerprint"] != _fingerprint(prepared):
        raise ConfigError(
            f"--resume: expected the settings, the text and the trace that {directory.root} began with, found others"
        )
    for draft in directory.root.glob("**/.*-*"):  # left by a crash in the middle of a write
        shutil.rmtree(draft) if draft.is_dir() else draft.unlink()
    strategy = _strategy(prepared, directory.ledger, about["salt"])
    strategy.load_state(arrays)
    prepared.cohorts.load_state(arrays)
    run = Run(
        prepared,
        directory,
        strategy,
        arrays["weights"],
        about["salt"],
        RunTotals(**about["totals"]),
        Evaluation(**about["evaluation"]),
        arrays["tokens_by_phone"].copy(),
    )
    directory.cut_rounds_after(run.totals.server_round)
    progress.say(f"resuming {directory.root} after round {run.totals.rounds_completed}")
    return run


def _fingerprint(prepared: Prepared) -> dict[str, Any]:
    """Everything that may change a result: the settings, the text, the vocabulary."""
    settings = result_settings(prepared.config)
    fleet = prepared.config.fleet
    coverage = fleet.trace_coverage or (fleet.trace and coverage_beside(fleet.trace))
    traces = [path for path in (fleet.trace, coverage, fleet.trace_devices) if path is not None]
    folder = prepared.task.population.cache_folder
    return {
        "settings": {k: list(v) if isinstance(v, tuple) else v for k, v in settings.items()},
        "text": None if folder is None else Path(folder).name,  # named by the file's content
        "traces": [hashlib.sha256(path.read_bytes()).hexdigest() for path in traces],
        "start": None if prepared.start is None else prepared.start.digest,
        "vocabulary": hashlib.sha256(prepared.task.vocabulary.encode()).hexdigest(),
    }


def _introduce(run: Run, progress: RunProgress) -> None:
    prepared, config = run.prepared, run.config
    source = "synthetic English" if config.data.path is None else str(config.data.path)
    skipped = prepared.population.skipped_lines
    progress.say(
        f"Typefleet {version('typefleet')}   {run.directory.root}\n"
        f"phones      {len(prepared.digests):,} ({len(prepared.training_phones):,} train), {source}"
        + (f"; {skipped:,} bad lines skipped" if skipped else "")
        + f"\navailable   {prepared.cohorts.fleet.origin}"
        f"\nmodel       {config.model.cell} {config.model.preset}: {len(prepared.vocabulary):,} words, "
        f"{prepared.shape.num_weights:,} weights"
    )
    progress.say(plan_lines(run.strategy.plan, prepared.shape.num_weights))


def checkpoint(run: Run) -> None:
    """Make the run durable."""
    save_checkpoint(
        run.directory.checkpoints,
        run.totals.server_round,
        {
            "weights": run.flat,
            "tokens_by_phone": run.tokens_by_phone,
            **run.strategy.state(),
            **run.prepared.cohorts.state(),
        },
        {
            "fingerprint": _fingerprint(run.prepared),
            "salt": run.salt,
            "totals": asdict(run.totals),
            "evaluation": asdict(run.evaluation),
        },
        run.config.engine.keep_checkpoints,
    )


def run_summary(run: Run) -> dict[str, Any]:
    """The content of summary.json."""
    plan, strategy = run.strategy.plan, run.strategy
    spent = privacy_spent(plan, strategy.participation, strategy.releases)
    return summarise(
        run.totals,
        run.evaluation,
        asdict(spent),
        run.prepared.cohorts.now_s,
        run.flat,
        {
            "epsilon_is_of": plan.epsilon_is_of,
            **{f"baseline_{name}": value for name, value in run.prepared.baselines._asdict().items()},
            "skipped_lines": run.prepared.population.skipped_lines,
            "participation": overall(run.prepared.cohorts.fleet.may_train, strategy.participation.counts),
        },
    )


def participation_record(run: Run) -> dict[str, Any]:
    """Who took part and who was left out: the content of participation.json."""
    prepared, fleet = run.prepared, run.prepared.cohorts.fleet
    small = fleet.num_phones <= _MOST_PHONES_READ
    volume = prepared.training_tokens(np.arange(fleet.num_phones), 1) if small else None
    groupings = phone_groups(fleet, volume)
    updates, evaluation = run.strategy.participation.counts, run.strategy.last_evaluation
    return {
        "overall": overall(fleet.may_train, updates),
        "by_group": participation_by_group(groupings, fleet.may_train, updates, run.tokens_by_phone),
        "recall_by_group": None if evaluation is None else recall_by_group(groupings, evaluation),
    }


def write_outcome(run: Run) -> None:
    run.directory.write_summary(run_summary(run))
    plan, strategy = run.strategy.plan, run.strategy
    spent = privacy_spent(plan, strategy.participation, strategy.releases)
    root, facts = run.directory.root, statement_facts(run)
    write_text_atomically(root / "privacy.json", json.dumps(privacy_json(plan, spent, facts), indent=2) + "\n")
    write_text_atomically(root / "privacy.md", privacy_markdown(plan, spent, facts))


def statement_facts(run: Run) -> StatementFacts:
    """What the privacy statement says of this run's data."""
    data, prepared = run.config.data, run.prepared
    source = "the synthetic population" if data.path is None else f"the messages in {data.path.name}"
    training = len(prepared.training_phones)
    start = prepared.start
    if data.vocabulary_path is not None:
        vocabulary = f"the vocabulary, read from {data.vocabulary_path.name}: private only if that list is"
    elif start is not None:
        vocabulary = f"the vocabulary, which comes with {start.path.name}"
    else:
        vocabulary = (
            "the vocabulary, which is counted on training phones without noise (use --data.vocabulary-path "
            "with a public list to avoid it)"
        )
    return StatementFacts(
        data_covered=f"the text of the {training:,} training phones of {source}, as far as their phones took part",
        outside_the_budget=(vocabulary,) if start is None else (vocabulary, start.description),
        recompute=f"python scripts/check_privacy.py {run.directory.root}",
    )


def finish_run(run: Run) -> Export:
    """Write the model files, the summary and the privacy statement of a finished run."""
    shape = run.prepared.shape
    names = list(shape.weight_shapes())
    run.directory.write_weights(dict(zip(names, unflatten(run.flat, shape), strict=True)))
    write_text_atomically(run.directory.model / "vocab.txt", run.prepared.task.vocabulary)
    write_outcome(run)
    write_text_atomically(run.directory.root / "participation.json", json.dumps(participation_record(run), indent=2))
    return export_at_the_end(run.directory, run.prepared)
