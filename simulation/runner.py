"""The life of a run: prepare, learn round by round, checkpoint, stop cleanly, resume, export.

One round, as told to a reader:

    the strategy asks the world who reports        (strategy.configure_train -> timeline)
    the hosts train those phones                   (engine.exchange -> client_app)
    the strategy sums, records, adds noise, steps  (strategy.aggregate_train)
    every few rounds held-out phones are scored    (strategy.configure_evaluate, aggregate_evaluate)
    the record is written, then the checkpoint
"""

import json
import secrets
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any, TextIO

import numpy as np
from flwr.app import Array, ArrayRecord, ConfigRecord
from flwr.serverapp import Grid
from numpy.typing import NDArray

from client_model.client_data import phone_labels
from client_model.export_tflite import ExportedFile
from client_model.language_model import flatten, initial_weights, unflatten
from server_strategy.dp_fedavg import DPFedAvg
from server_strategy.privacy_ledger import privacy_spent
from server_strategy.privacy_statement import modelled_label, privacy_json, privacy_markdown
from simulation.checkpoint import load_newest_checkpoint, save_checkpoint, write_text_atomically
from simulation.config import ConfigError, RunConfig
from simulation.engine import EngineError, exchange, run_on_flower, wait_for_nodes
from simulation.export import export_run
from simulation.flags import result_settings, to_toml
from simulation.preparation import Prepared
from simulation.progress import RunProgress
from simulation.records import (
    Evaluation,
    RunDirectory,
    RunTotals,
    new_run_directory,
    summarise,
    weights_sha256,
)
from simulation.report import plan_lines, print_closing_table
from simulation.scalars import ScalarWriter

INTERRUPTED = 130


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

    @property
    def config(self) -> RunConfig:
        """The settings."""
        return self.prepared.config

    @property
    def finished(self) -> bool:
        """All rounds are completed."""
        return self.totals.rounds_completed >= self.config.rounds


def simulate(prepared: Prepared, resume: bool = False, stream: TextIO = sys.stdout) -> int:
    """Run a simulation from start (or checkpoint) to exported model; returns the exit code.

    Raises:
        ConfigError, LedgerError, CheckpointError: the folder does not fit the run.
        EngineError, ExportError: the machine failed; the run can be resumed.
    """
    config = prepared.config
    with RunProgress(stream, config.rounds, 0) as progress:
        run = start_run(prepared, resume, progress)
    done = run.totals.rounds_completed
    with RunProgress(stream, config.rounds, done) as progress, _stop_on_interrupt(progress) as stop:
        if not run.finished:
            run_on_flower(config.engine, lambda grid: run_rounds(run, grid, progress, stop))
    if not run.finished:
        progress.say(
            f"stopped after round {run.totals.rounds_completed} of {config.rounds}; go on with\n"
            f"  python scripts/simulate.py --resume {run.directory.root}"
        )
        return INTERRUPTED
    files = finish_run(run)
    print_closing_table(stream, run_summary(run), run.strategy.plan, files, run.directory.root)
    return 0


def start_run(prepared: Prepared, resume: bool, progress: RunProgress) -> Run:
    """Make the run's folder, or open it at its newest checkpoint."""
    run = _resume_run(prepared, progress) if resume else _new_run(prepared)
    _introduce(run, progress)
    return run


def finish_run(run: Run) -> list[ExportedFile]:
    """Write the model files, the summary and the privacy statement of a finished run."""
    shape = run.prepared.shape
    names = list(shape.weight_shapes())
    run.directory.write_weights(dict(zip(names, unflatten(run.flat, shape), strict=True)))
    write_text_atomically(run.directory.model / "vocab.txt", run.prepared.task.vocabulary)
    _write_outcome(run)
    return export_run(run.directory, run.prepared)


# Starting ---------------------------------------------------------------------------------------


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


def _new_run(prepared: Prepared, directory: RunDirectory | None = None) -> Run:
    config = prepared.config
    directory = directory or new_run_directory(config.output_dir, to_toml(config))
    # A secret of this run: labels in its logs cannot be matched with other runs or with user ids.
    salt = secrets.token_hex(16)
    flat = flatten(initial_weights(prepared.shape, config.seed))
    run = Run(prepared, directory, _strategy(prepared, directory.ledger, salt), flat, salt)
    checkpoint(run)
    return run


def _resume_run(prepared: Prepared, progress: RunProgress) -> Run:
    config = prepared.config
    if config.output_dir is None:
        raise ConfigError("--resume: expected the folder of a run, found none")
    directory = RunDirectory(config.output_dir)
    if not any(directory.checkpoints.glob("checkpoint-*")) and not directory.rounds.exists():
        progress.say(f"{directory.root} was stopped before its first round; starting it anew")
        return _new_run(prepared, directory)
    stored, notes = load_newest_checkpoint(directory.checkpoints)
    for note in notes:
        progress.say(f"note: {note}")
    arrays, about = stored
    if about["settings"] != _fingerprint(config):
        raise ConfigError(f"--resume: {directory.checkpoints} belongs to another configuration")
    if len(arrays["weights"]) != prepared.shape.num_weights:
        raise ConfigError(
            f"--resume: expected {prepared.shape.num_weights} weights, found {len(arrays['weights'])}; "
            "the text has changed since the run began"
        )
    for draft in directory.root.glob("**/.*-*"):  # left by a crash in the middle of a write
        draft.unlink()
    strategy = _strategy(prepared, directory.ledger, about["salt"])
    strategy.load_state(arrays)
    prepared.cohorts.now_s = about["now_s"]
    run = Run(
        prepared,
        directory,
        strategy,
        arrays["weights"],
        about["salt"],
        RunTotals(**about["totals"]),
        Evaluation(**about["evaluation"]),
    )
    directory.cut_rounds_after(run.totals.server_round)
    progress.say(f"resuming {directory.root} after round {run.totals.rounds_completed}")
    return run


def _fingerprint(config: RunConfig) -> dict[str, Any]:
    return {k: list(v) if isinstance(v, tuple) else v for k, v in result_settings(config).items()}


def _introduce(run: Run, progress: RunProgress) -> None:
    prepared, config = run.prepared, run.config
    source = "synthetic English" if config.data.path is None else str(config.data.path)
    skipped = prepared.population.skipped_lines
    progress.say(
        f"Typefleet {version('typefleet')}   {run.directory.root}\n"
        f"phones      {len(prepared.digests):,} ({len(prepared.training_phones):,} train), {source}"
        + (f"; {skipped:,} bad lines skipped" if skipped else "")
        + f"\nmodel       {config.model.cell} {config.model.preset}: {len(prepared.vocabulary):,} words, "
        f"{prepared.shape.num_weights:,} weights"
    )
    progress.say(plan_lines(run.strategy.plan, prepared.shape.num_weights))


@contextmanager
def _stop_on_interrupt(progress: RunProgress) -> Iterator[threading.Event]:
    """First Ctrl-C: finish the round, then stop. Second: stop at once (the checkpoint is safe)."""
    stop = threading.Event()

    def handle(signum: int, frame: object) -> None:
        if stop.is_set():
            raise KeyboardInterrupt
        stop.set()
        progress.say("stopping after this round; press Ctrl-C again to stop at once")

    if threading.current_thread() is not threading.main_thread():
        yield stop  # signals belong to the main thread; under `flwr run` Flower handles them
        return
    previous = signal.signal(signal.SIGINT, handle)
    try:
        yield stop
    finally:
        signal.signal(signal.SIGINT, previous)


# Rounds -----------------------------------------------------------------------------------------


def run_rounds(run: Run, grid: Grid, progress: RunProgress, stop: threading.Event) -> None:
    """The loop; returns when all rounds are done or `stop` is set."""
    wait_for_nodes(grid)
    host_task = run.prepared.task.to_json()
    abandoned_in_a_row = 0
    with ScalarWriter(run.directory.tensorboard) as scalars:
        if run.totals.server_round == 0:
            began = time.monotonic()
            _evaluate(run, grid, host_task)
            scalars.write(0, asdict(run.evaluation))
            run.totals.wall_seconds += time.monotonic() - began
        while not run.finished and not stop.is_set():
            record = run_round(run, grid, host_task)
            run.directory.append_round(record)
            scalars.write(run.totals.server_round, record)
            progress.round_done(record, run.totals.rounds_completed, _of_what(run))
            abandoned_in_a_row = abandoned_in_a_row + 1 if record["abandoned"] else 0
            if abandoned_in_a_row >= run.config.cohort.max_abandoned_in_a_row:
                raise EngineError(
                    f"{abandoned_in_a_row} rounds abandoned in a row ({record['abandoned']}); expected a fleet that "
                    "reaches --cohort.goal: a lower goal, a longer --cohort.selection-timeout-s, a smaller "
                    "--cohort.min-separation-rounds or a larger --fleet.size helps"
                )
            due = run.totals.rounds_completed % run.config.engine.checkpoint_every_rounds == 0
            if run.finished or stop.is_set() or (due and not record["abandoned"]):
                checkpoint(run)
                _write_outcome(run)


def run_round(run: Run, grid: Grid, host_task: str) -> dict[str, Any]:
    """One round; returns its record."""
    began = time.monotonic()
    totals, strategy = run.totals, run.strategy
    totals.server_round += 1
    arrays = _arrays(run)
    config = ConfigRecord({"host-task": host_task})
    messages = strategy.configure_train(totals.server_round, arrays, config, grid)
    replies = exchange(grid, messages, run.config.engine.message_timeout_s)
    released, _ = strategy.aggregate_train(totals.server_round, replies)
    train_seconds = time.monotonic() - began
    outcome = strategy.last_round
    if outcome is None:
        raise RuntimeError("the strategy kept no outcome of the round")
    abandoned = outcome.plan.abandoned
    evaluated = False
    if released is None:
        totals.rounds_abandoned += 1
    else:
        run.flat = flatten([a.numpy() for a in released.values()])
        totals.rounds_completed += 1
        totals.devices_trained += outcome.reports
        totals.tokens_trained += outcome.tokens
        totals.train_wall_seconds += train_seconds
        evaluated = _evaluate(run, grid, host_task)
    totals.wall_seconds += time.monotonic() - began
    spent = outcome.spent
    return {
        "round": totals.server_round,
        "completed": totals.rounds_completed,
        "abandoned": abandoned,
        **outcome.plan.record,
        "reports": outcome.reports,
        "rejected": phone_labels(run.salt, run.prepared.digests[outcome.rejected]),
        "tokens": outcome.tokens,
        "loss": outcome.loss_per_token,
        "clipped_share": outcome.clipped_share,
        "train_seconds": train_seconds,
        "tokens_per_second": outcome.tokens / train_seconds,
        "zcdp_rho": spent.zcdp_rho if spent else None,
        "epsilon": spent.epsilon if spent else None,
        "epsilon_is_of": modelled_label(strategy.plan),
        **(asdict(run.evaluation) if evaluated else {}),
        "weights_sha256": weights_sha256(run.flat),
    }


def _arrays(run: Run) -> ArrayRecord:
    shape = run.prepared.shape
    named = zip(shape.weight_shapes(), unflatten(run.flat, shape), strict=True)
    return ArrayRecord({name: Array(weight) for name, weight in named})


def _evaluate(run: Run, grid: Grid, host_task: str) -> bool:
    """Score the held-out phones if the strategy says that it is time."""
    number = run.totals.server_round
    config = ConfigRecord({"host-task": host_task})
    messages = list(run.strategy.configure_evaluate(number, _arrays(run), config, grid))
    if not messages:
        return False
    replies = exchange(grid, messages, run.config.engine.message_timeout_s)
    metrics = run.strategy.aggregate_evaluate(number, replies)
    if metrics is None:
        return False

    def value(name: str) -> float | None:
        return float(metrics[name]) if name in metrics else None  # type: ignore[arg-type]

    run.evaluation = Evaluation(value("top1-recall"), value("top3-recall"), value("perplexity"), value("oov-rate"))
    return True


def _of_what(run: Run) -> str:
    cohort = run.strategy.plan.modelled_cohort
    return "" if cohort is None else f" (modelled cohort {cohort:,})"


# Ending -----------------------------------------------------------------------------------------


def checkpoint(run: Run) -> None:
    """Make the run durable."""
    save_checkpoint(
        run.directory.checkpoints,
        run.totals.server_round,
        {"weights": run.flat, **run.strategy.state()},
        {
            "settings": _fingerprint(run.config),
            "salt": run.salt,
            "now_s": run.prepared.cohorts.now_s,
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
            "epsilon_is_of": modelled_label(plan),
            "baseline_unigram_top1": run.prepared.baselines.unigram_top1,
            "baseline_bigram_top1": run.prepared.baselines.bigram_top1,
            "baseline_training_phones": run.prepared.baselines.training_phones,
        },
    )


def _write_outcome(run: Run) -> None:
    run.directory.write_summary(run_summary(run))
    plan, strategy = run.strategy.plan, run.strategy
    spent = privacy_spent(plan, strategy.participation, strategy.releases)
    root = run.directory.root
    write_text_atomically(root / "privacy.json", json.dumps(privacy_json(plan, spent), indent=2) + "\n")
    command = f"python scripts/check_privacy.py {root}"
    write_text_atomically(root / "privacy.md", privacy_markdown(plan, spent, command))
