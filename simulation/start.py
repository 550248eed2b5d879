"""From settings to a finished run, with the engine starting while text and fleet are prepared."""

from contextlib import nullcontext
from typing import TYPE_CHECKING, TextIO

from client_model.quiet import import_tensorflow_quietly
from simulation import start_up
from simulation.audit_trail import begin_on, recording
from simulation.config import RunConfig
from simulation.engine.engine import Engine
from simulation.parts import Parts
from simulation.run.accepted_input import AcceptedInput, accept_input
from simulation.run.checkpoint import CheckpointError, load_newest_checkpoint, totals_of
from simulation.run.directory import RunDirectory
from simulation.run.other_runs import require_admission
from simulation.run.sustained import require_phones_enough
from simulation.signals import INTERRUPTED
from simulation.steps import steps_shown_on
from typefleet.errors import MachineError
from typefleet.steps import step

if TYPE_CHECKING:
    from collections.abc import Callable

    from simulation.run.lifecycle import Run
    from simulation.run.records import RoundRecord


def start(
    config: RunConfig,
    parts: Parts,
    stream: TextIO,
    resume: bool = False,
    engine: Engine | None = None,
    *,
    on_round: "Callable[[RoundRecord], bool | None] | None" = None,
) -> "Run":
    """Run a simulation from start (or checkpoint) to exported model; it is not finished if it was interrupted.

    Args:
        config: the settings.
        parts: what is handed in beside them.
        stream: where progress and closing table go.
        resume: go on with the run in `config.output_dir`.
        engine: one to use, which is left running; by default one is started for the run and ended after it.
        on_round: see `simulation.api.simulate`.

    Raises:
        InputError: the settings, the data or the folder cannot be used.
        MachineError: the machine failed; the run can be resumed.
    """
    with recording("run") as record, steps_shown_on(stream):
        if resume and config.output_dir is not None:
            begin_on(config.output_dir)
        run = _start(config, parts, stream, resume=resume, engine=engine, on_round=on_round)
        record.exit_code = 0 if run.finished else INTERRUPTED
        return run


def _start(
    config: RunConfig,
    parts: Parts,
    stream: TextIO,
    *,
    resume: bool,
    engine: Engine | None,
    on_round: "Callable[[RoundRecord], bool | None] | None",
) -> "Run":
    start_up.begin()
    with (
        step("preparing text, vocabulary and fleet"),
        start_up.span("prepare", "text and fleet"),
    ):
        accepted = accept_input(config, resume, parts)  # what can be refused is refused before anything is started
        if not resume:
            require_phones_enough(accepted)
            require_admission(accepted)
    with nullcontext(engine) if engine is not None else Engine(accepted.config.engine) as used:
        if accepted.forgotten.life or not (resume and _is_finished(config)):
            used.start()
        with step("loading TensorFlow, counting the vocabulary"):
            with start_up.span("import", "TensorFlow"):
                import_tensorflow_quietly()
            with start_up.span("import", "a run's modules"):
                from simulation.run.preparation import settle
                from simulation.runner import run_to_the_end
            _limit_threads(accepted)
            with start_up.span("prepare", "vocabulary, model, world"):
                prepared = settle(accepted)
        return run_to_the_end(prepared, used, resume, stream, end_engine=engine is None, on_round=on_round)


def _limit_threads(accepted: AcceptedInput) -> None:
    """Keep TensorFlow to one thread, since central training gives the same bits on any number of cores only so.

    Raises:
        MachineError: it has been used in this process before, and now it is too late.
    """
    from client_model.learning.local_training import limit_threads

    try:
        limit_threads(1)
    except MachineError:
        if accepted.start is not None and accepted.start.corpus is not None:
            raise


def _is_finished(config: RunConfig) -> bool:
    """Whether a run to be resumed has no round left, so that there is nothing to start an engine for."""
    if config.output_dir is None:
        return False
    try:
        stored, _ = load_newest_checkpoint(RunDirectory(config.output_dir).checkpoints)
        totals = totals_of(stored)
    except CheckpointError:
        return False  # it is said when the run is opened
    return totals.stopped_early is not None or totals.rounds_completed >= config.rounds
