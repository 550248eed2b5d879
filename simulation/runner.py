"""The life of a run: prepare, learn round by round, checkpoint, stop cleanly, resume, export.

One round, as told to a reader:

    the strategy asks the world who reports        (strategy.configure_train -> timeline)
    the hosts train those phones                   (engine.exchange -> client_app)
    the strategy sums, records, adds noise, steps  (strategy.aggregate_train)
    every few rounds held-out phones are scored    (strategy.configure_evaluate, aggregate_evaluate)
    the record is written, then the checkpoint
"""

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from typing import TextIO, TypeAlias

import numpy as np
from flwr.serverapp import Grid
from numpy.typing import NDArray

from client_model.quiet import only_new_objects_collected
from client_model.text.population import phone_labels
from server_strategy.protocol import Briefing, HostProfile
from server_strategy.round_outcome import RoundOutcome
from simulation import start_up
from simulation.device.export import export_at_the_end
from simulation.engine.engine import Engine
from simulation.engine.exchange import exchange
from simulation.engine.failures import EngineError
from simulation.engine.flower_on_ray import wait_for_nodes
from simulation.engine.memory import reuse_large_blocks
from simulation.engine.profile import PHASES_OF_A_START, Stopwatch, round_profile, timed_replies
from simulation.engine.text_copies import text_on_all_machines
from simulation.report.at_the_end import report_at_the_end
from simulation.run.already_done import has_all_results, print_what_there_is
from simulation.run.central import compare_at_the_end
from simulation.run.kernel import bits_that_train, kernel_that_trains
from simulation.run.lifecycle import Run, checkpoint, start_run
from simulation.run.other_runs import epsilon_with_earlier, other_runs_now
from simulation.run.outcome import finish_run, run_summary, write_outcome
from simulation.run.preparation import Prepared
from simulation.run.progress import RunProgress
from simulation.run.records import RoundRecord
from simulation.run.report import print_closing_table
from simulation.run.rounds_table import write_rounds_table
from simulation.run.tracking import Tracking, tracked
from simulation.signals import can_go_on_with, first_signal_finishes
from simulation.subcommands import command
from simulation.world.consent.config import EVALUATE, TELEMETRY
from typefleet.errors import ConfigError, expected, printable

_WHAT_HELPS = (
    "abandoned rounds bring no phone back, and this run keeps its settings: a new run with a lower goal, a smaller "
    "--cohort.min-separation-rounds or a larger --fleet.size helps"
)


OnRound: TypeAlias = Callable[[RoundRecord], bool | None]


def run_to_the_end(
    prepared: Prepared,
    engine: Engine,
    resume: bool = False,
    stream: TextIO = sys.stdout,
    *,
    end_engine: bool = False,
    on_round: OnRound | None = None,
) -> Run:
    """Run a simulation from start (or checkpoint) to exported model; it is not finished if it was interrupted.

    Args:
        prepared: what is settled.
        engine: carries the rounds out; it is started if need be.
        resume: go on with the run in the folder of the settings.
        stream: where progress and closing table go.
        end_engine: let the engine end after the last round, while the outcome is written.
        on_round: see `simulation.api.simulate`.

    Raises:
        RunInUseError: another process is working on the run.
        ConfigError, LedgerError, CheckpointError: the folder does not fit the run.
        EngineError, ExportError: the machine failed; the run can be resumed.
    """
    reuse_large_blocks()
    with start_up.span("prepare", "folder and checkpoint"):
        run = start_run(prepared, resume, RunProgress(stream, prepared.config.rounds, 0))
    was_finished = run.finished
    with can_go_on_with(printable(_resuming(run))), closing(run), tracked(run) as tracking:
        if run.went_back:
            write_outcome(run)  # what is on disk was of the model with the forgotten phones
        _play(run, engine, stream, tracking, on_round)
        if end_engine:
            engine.end_soon()
        write_rounds_table(run.directory, run.prepared.metrics)
        if run.finished and was_finished and has_all_results(run.directory, run.config):
            tracking.end(run)  # for a tracker that was not there before
            print_what_there_is(stream, run.directory, run.totals.rounds_completed, run.totals.stopped_early)
        elif run.finished:
            with only_new_objects_collected():  # the export asks for two, of a fifth of a second each
                write_results(run, tracking, stream)
    return run


def write_results(run: Run, tracking: Tracking, stream: TextIO) -> None:
    """Write what a run comes to whose rounds are all done, and show it.

    Raises:
        ExportError: a file for phones cannot be made.
    """
    finish_run(run)
    at_the_end = replace(run.prepared, asked_at_s=run.cohorts.now_s)
    export = export_at_the_end(run.directory, at_the_end)
    central = compare_at_the_end(at_the_end, run.directory.root)
    tracking.end(run)
    page = report_at_the_end(run.directory, run.config, run.prepared.metrics, export)
    print_closing_table(
        stream,
        run_summary(run),
        plan=run.strategy.plan,
        metrics=run.prepared.metrics,
        export=export,
        central=central,
        folder=run.directory.root,
        page=page,
        others=other_runs_now(run),
    )


def _play(run: Run, engine: Engine, stream: TextIO, tracking: Tracking, on_round: OnRound | None) -> None:
    """All rounds that are left, until Ctrl-C, SIGTERM, or the word of who is told of each."""
    config, done = run.config, run.totals.rounds_completed
    with RunProgress(stream, config.rounds, done) as progress, _stop_on_interrupt(progress) as stop:
        if not run.finished:
            engine.run(lambda grid: run_rounds(run, grid, progress, stop, tracking=tracking, on_round=on_round))
    if not run.finished:
        progress.say(
            f"stopped after round {run.totals.rounds_completed} of {config.rounds}; go on with\n  {_resuming(run)}"
        )


def _resuming(run: Run) -> str:
    return command("scripts/simulate.py", "--resume", run.directory.root)


@contextmanager
def _stop_on_interrupt(progress: RunProgress) -> Iterator[threading.Event]:
    """First Ctrl-C, SIGTERM or SIGHUP: finish the round, then stop. Second: stop at once (the checkpoint is safe)."""
    stop = threading.Event()

    def say() -> None:
        progress.say("stopping after this round; press Ctrl-C again to stop at once")

    with first_signal_finishes(stop.set, stop.is_set, say):
        yield stop


def run_rounds(
    run: Run,
    grid: Grid,
    progress: RunProgress,
    stop: threading.Event,
    *,
    tracking: Tracking,
    on_round: OnRound | None = None,
) -> None:
    """The loop; returns when all rounds are done or `stop` is set, which a True of `on_round` does too."""
    with start_up.span("wait", "for Flower's nodes"):
        wait_for_nodes(grid)
    with text_on_all_machines(run.prepared.task, run.config.engine) as task:
        _play_rounds(run, grid, progress, stop, host_task=task.to_json(), tracking=tracking, on_round=on_round)


def _play_rounds(
    run: Run,
    grid: Grid,
    progress: RunProgress,
    stop: threading.Event,
    *,
    host_task: str,
    tracking: Tracking,
    on_round: OnRound | None,
) -> None:
    abandoned_in_a_row = 0
    if run.totals.server_round == 0:
        began = time.monotonic()
        with start_up.span("phones", "scores the starting weights"):
            _evaluate(run, grid, host_task)
        run.held_out_at_start = run.held_out
        tracking.before_the_first_round(run.held_out)
        run.totals.wall_seconds += time.monotonic() - began
    while not run.finished and not stop.is_set():
        record = run_round(run, grid, host_task)
        run.directory.append_round(record)
        tracking.round(record)
        if progress.has_lost_its_reader():  # as after Ctrl-C: nothing is lost, and nobody is left to tell
            stop.set()
        progress.round_done(record, run.totals.rounds_completed, _of_what(run))
        if on_round is not None and _asks_to_stop(on_round(record)):
            stop.set()
        if run.totals.stopped_early is not None:
            progress.say(f"stopping before round {run.totals.rounds_completed + 1}: {run.totals.stopped_early}")
        abandoned_in_a_row = abandoned_in_a_row + 1 if record.abandoned else 0
        if not run.finished and abandoned_in_a_row >= run.config.cohort.max_abandoned_in_a_row:
            found = f"{abandoned_in_a_row} rounds abandoned in a row ({record.abandoned})"
            raise EngineError(f"{expected('--cohort.goal', 'a fleet that reaches it', found)}; {_WHAT_HELPS}")
        due = run.totals.rounds_completed % run.config.engine.checkpoint_every_rounds == 0
        if run.finished or stop.is_set() or (due and not record.abandoned):
            _make_durable(run)


def _asks_to_stop(answer: object) -> bool:
    """What `on_round` gave; a comparison of numpy's numbers gives a bool of numpy's.

    Raises:
        ConfigError: neither a bool nor None, so that what was meant is not known.
    """
    if answer is not None and not isinstance(answer, bool | np.bool_):
        raise ConfigError(expected("on_round", "True to stop after the round, or False or None", type(answer).__name__))
    return bool(answer)


def _make_durable(run: Run) -> None:
    began = time.perf_counter()
    checkpoint(run)
    write_outcome(run)
    run.last_checkpoint_s = time.perf_counter() - began


def run_round(run: Run, grid: Grid, host_task: str) -> RoundRecord:
    """One round, from its plan to its record."""
    watch, cpu_began_s = Stopwatch(), time.process_time()
    totals, strategy = run.totals, run.strategy
    totals.server_round += 1
    config = Briefing(host_task, run.config.engine.profile, text_key=run.prepared.text_key).to_config()
    wait_for_nodes(grid, run.config.engine.message_timeout_s)  # of several machines, all may be gone for a while
    messages = strategy.configure_train(totals.server_round, run.weights.record, config, grid)
    watch.lap("plan")
    hosts: list[HostProfile] = []
    replies = run.exchange(grid, list(messages), run.config.engine.message_timeout_s)
    released, _ = strategy.aggregate_train(totals.server_round, timed_replies(replies, watch, hosts))
    watch.lap("server_step")
    train_seconds = watch.total_s
    outcome = strategy.last_round
    if outcome is None:
        raise RuntimeError(expected("last_round", "the outcome of the round that was aggregated", "none"))
    evaluated = False
    if released is None:
        totals.rounds_abandoned += 1
    else:
        run.weights = run.weights.next(released, strategy.weights_sha256)
        totals.rounds_completed += 1
        totals.devices_trained += outcome.reports
        totals.tokens_trained += outcome.tokens
        if not run.config.aggregation.is_summed:  # else nobody is told what one phone trained on
            told = _tell(run, outcome.plan.reporters)
            run.tokens_by_phone[outcome.plan.reporters[told]] += outcome.plan.tokens[told]
        totals.train_wall_seconds += train_seconds
        evaluated = _evaluate(run, grid, host_task)
    if strategy.budget_reached is not None:
        totals.stopped_early = f"privacy budget: {strategy.budget_reached}"
        evaluated = _evaluate(run, grid, host_task)  # the model that the run ends with
    watch.lap("evaluation")
    totals.wall_seconds += watch.total_s
    record = _record(run, outcome, train_seconds, evaluated)
    start_up.laps(PHASES_OF_A_START, watch.seconds)
    began = start_up.end()
    if run.config.engine.profile:
        driver_cpu_s = time.process_time() - cpu_began_s
        record = replace(record, profile=round_profile(watch, driver_cpu_s, hosts, run.last_checkpoint_s, began))
        run.last_checkpoint_s = 0.0
    return record


def _record(run: Run, outcome: RoundOutcome, train_seconds: float, evaluated: bool) -> RoundRecord:
    totals, spent = run.totals, outcome.spent
    told, rejected_told = (_tell(run, phones) for phones in (outcome.failed, outcome.rejected))
    failed = phone_labels(run.salt, run.prepared.digests[outcome.failed[told]])
    causes = [cause for cause, tells in zip(outcome.failure_causes, told.tolist(), strict=True) if tells]
    untold = int((~told).sum() + (~rejected_told).sum())
    return RoundRecord(
        round=totals.server_round,
        completed=totals.rounds_completed,
        abandoned=outcome.plan.abandoned,
        funnel=outcome.plan.funnel,
        reports=outcome.reports,
        rejected=phone_labels(run.salt, run.prepared.digests[outcome.rejected[rejected_told]]),
        failed=dict(zip(failed, causes, strict=True)),
        not_told=None if run.cohorts.fleet.consents is None else untold,
        tokens=outcome.tokens,
        loss=outcome.loss_per_token,
        clip_norm=outcome.clip_norm,
        clipped_share=outcome.clipped_share,
        train_seconds=train_seconds,
        tokens_per_second=outcome.tokens / train_seconds,
        zcdp_rho=spent.zcdp_rho if spent else None,
        epsilon=spent.epsilon if spent else None,
        epsilon_is_of=run.strategy.plan.epsilon_is_of,
        held_out=run.held_out if evaluated else None,
        weights_sha256=run.weights.sha256,
        aggregation=outcome.aggregation,
        kernel=kernel_that_trains(run.prepared.task),
        kernel_bits=bits_that_train(run.prepared.task),
    )


def _tell(run: Run, phones: NDArray[np.int64]) -> NDArray[np.bool_]:
    """bool [len(phones)]: of which there may be records of their own, besides those that accounting needs."""
    return run.cohorts.fleet.agree(TELEMETRY, phones, run.cohorts.now_s)


def _evaluate(run: Run, grid: Grid, host_task: str) -> bool:
    """Score the held-out phones if the strategy says that it is time."""
    number = run.totals.server_round
    config = Briefing(host_task, text_key=run.prepared.text_key).to_config()
    wait_for_nodes(grid, run.config.engine.message_timeout_s)
    run.strategy.measure_on(run.cohorts.fleet.agreeing(EVALUATE, run.prepared.held_out_phones, run.cohorts.now_s))
    messages = list(run.strategy.configure_evaluate(number, run.weights.record, config, grid))
    if not messages:
        return False
    replies = exchange(grid, messages, run.config.engine.message_timeout_s)
    if run.strategy.aggregate_evaluate(number, replies) is None or run.strategy.last_evaluation is None:
        return False
    run.held_out = run.prepared.metrics.values(run.strategy.last_evaluation.sums())
    return True


def _of_what(run: Run) -> str:
    """What follows epsilon in the line of a round; what is said before the first round tells it at length."""
    together = epsilon_with_earlier(run)
    modelled = "" if run.strategy.plan.modelled_cohort is None else " (modelled)"
    return modelled if together is None else f", {together} in all{modelled}"
