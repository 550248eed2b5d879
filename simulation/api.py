"""Simulate from Python: the same runs as `scripts/simulate.py`, with objects in the place of names.

    from typefleet import RunConfig, simulate

    result = simulate(RunConfig(rounds=20))

Nothing of a process of its own is needed: a notebook's cell, or a script without a main guard, will do. Ray is
started for the run and stopped after it. Ctrl-C finishes the round, saves and returns what there is.
"""

import os
import sys
from contextlib import nullcontext
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from server_strategy.privacy.rounded_up import Bound
from simulation.config import RunConfig
from simulation.flags import read_config, settled
from simulation.parts import Parts
from typefleet.errors import ConfigError, expected
from typefleet.own_parts import require_object

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from client_model.learning.cells.base import Cell
    from client_model.learning.local_optimizers.base import LocalOptimizer
    from client_model.metrics.metric import Metric
    from client_model.text.formats.base import MessageFormat
    from server_strategy.optimizers.base import ServerOptimizer
    from server_strategy.privacy.mechanisms.base import Mechanism
    from simulation.engine.engine import Engine
    from simulation.run.records import RoundRecord
    from simulation.world.availability.base import Availability
    from simulation.world.devices import Devices


@dataclass(frozen=True)
class RunResult:
    """What a run came to.

    Attributes:
        path: its folder; `docs` and README say what lies in it.
        finished: False if it was stopped before its last round; `resume(path)` goes on with it.
        summary: the content of summary.json by key; None where a value does not exist.
    """

    path: Path
    finished: bool
    summary: dict[str, Any]

    @cached_property
    def rounds(self) -> dict[str, list[Any]]:
        """The lines of rounds.jsonl as columns of equal length; None where a round has no such value."""
        from simulation.run.directory import RunDirectory

        lines = RunDirectory(self.path).read_rounds()
        names = dict.fromkeys(name for line in lines for name in line)
        return {name: [line.get(name) for line in lines] for name in names}

    def __str__(self) -> str:
        recall, epsilon = self.summary["top1_recall"], self.summary["epsilon"]
        return (
            f"{self.path}: {self.summary['rounds_completed']} rounds{'' if self.finished else ', stopped early'}, "
            f"recall {'-' if recall is None else f'{recall:.2%}'}, "
            f"{'no privacy' if epsilon is None else f'epsilon {Bound(epsilon):.3g}'}"
        )


def simulate(
    config: RunConfig | None = None,
    *,
    cell: "Cell | None" = None,
    local_optimizer: "LocalOptimizer | None" = None,
    mechanism: "Mechanism | None" = None,
    server_optimizer: "ServerOptimizer | None" = None,
    availability: "Availability | None" = None,
    devices: "Devices | None" = None,
    message_format: "MessageFormat | None" = None,
    metrics: "Sequence[Metric]" = (),
    progress: TextIO | None = sys.stdout,
    engine: "Engine | None" = None,
    on_round: "Callable[[RoundRecord], bool | None] | None" = None,
) -> RunResult:
    """Run a simulation from nothing to an exported keyboard.

    Args:
        config: the settings; by default those of `scripts/simulate.py`.
        cell: what the model remembers with, in the place of the one that `config.model.cell` names; see
            `client_model.learning.cells.base`. It may be defined in the notebook itself.
        local_optimizer: takes a phone's steps, in the place of the one that `config.training.optimizer` names; see
            `client_model.learning.local_optimizers.base`.
        server_optimizer: moves the weights, in the place of the one that `config.server_optimizer.name` names; its
            step size is still that of the settings.
        mechanism: makes the noise, in the place of the one that `config.privacy.mechanism` names.
        availability: when phones are there, in the place of what `config.fleet.availability` names.
        devices: speeds and memory of the phones, in the place of those that are drawn.
        message_format: reads `config.data.path`, in the place of what `config.data.format` names.
        metrics: to measure beside those that `config.evaluation.metrics` names.
        progress: where the progress and the closing table go; nowhere if None.
        engine: one that several runs use, one after another; by default each run starts and ends its own.
        on_round: called with the record of each round, a `RoundRecord`: `record.loss`, `record.epsilon`, and
            `record.held_out["top1_recall"]` where the round was measured (`config.evaluation.every_rounds`), else
            `record.held_out` is None. If it gives True the run stops after that round, as Ctrl-C does: with a
            checkpoint and a summary, without files for phones, and `finished` is False. What it raises ends the run.

    Raises:
        InputError: the settings or the data cannot be used; nothing was written. Or `on_round` gave something else than
            True, False or None.
        MachineError: the machine failed; `resume` goes on from the last checkpoint.
    """
    parts = Parts.handed_in(
        cell=cell,
        local_optimizer=local_optimizer,
        mechanism=mechanism,
        server_optimizer=server_optimizer,
        availability=availability,
        devices=devices,
        message_format=message_format,
        metrics=metrics,
    )
    _require_run(progress, engine, on_round)
    if config is not None and not isinstance(config, RunConfig):
        raise ConfigError(expected("config", "a RunConfig", type(config).__name__))
    with parts.at_their_doors():
        config = settled(config or RunConfig(), parts)
    return _run(config, parts, progress, going_on=False, engine=engine, on_round=on_round)


def resume(
    path: Path | str,
    *,
    cell: "Cell | None" = None,
    local_optimizer: "LocalOptimizer | None" = None,
    mechanism: "Mechanism | None" = None,
    server_optimizer: "ServerOptimizer | None" = None,
    availability: "Availability | None" = None,
    devices: "Devices | None" = None,
    message_format: "MessageFormat | None" = None,
    metrics: "Sequence[Metric]" = (),
    progress: TextIO | None = sys.stdout,
    engine: "Engine | None" = None,
    on_round: "Callable[[RoundRecord], bool | None] | None" = None,
) -> RunResult:
    """Go on with a run that was stopped, bit for bit as if it had not been.

    Args:
        path: the run's folder.
        cell, local_optimizer, mechanism, server_optimizer, availability, devices, message_format, metrics: what was
            handed in when the run began has to be handed in again.
        progress, engine, on_round: as in `simulate`.

    Raises:
        InputError: the folder holds no run, or the parts or the data are others.
        MachineError: as in `simulate`.
    """
    parts = Parts.handed_in(
        cell=cell,
        local_optimizer=local_optimizer,
        mechanism=mechanism,
        server_optimizer=server_optimizer,
        availability=availability,
        devices=devices,
        message_format=message_format,
        metrics=metrics,
    )
    _require_run(progress, engine, on_round)
    if not isinstance(path, str | Path):
        raise ConfigError(expected("path", "the folder of a run", type(path).__name__))
    with parts.at_their_doors():
        config = settled(read_config(Path(path) / "config.toml"), parts, begun=True)
        config = replace(config, output_dir=Path(path))
    return _run(config, parts, progress, going_on=True, engine=engine, on_round=on_round)


def _require_run(progress: Any, engine: Any, on_round: Any) -> None:
    """Refuse what neither shows progress nor runs anything nor can be called."""
    if progress is not None:
        require_object("progress", progress, ("write", "flush"))
    if engine is not None:
        require_object("engine", engine, ("start", "run", "end_soon"))
    if on_round is not None and not callable(on_round):
        raise ConfigError(expected("on_round", "a function of a round's record", type(on_round).__name__))


def _run(
    config: RunConfig,
    parts: Parts,
    progress: TextIO | None,
    *,
    going_on: bool,
    engine: "Engine | None",
    on_round: "Callable[[RoundRecord], bool | None] | None",
) -> RunResult:
    from simulation.start import start

    with nullcontext(progress) if progress is not None else Path(os.devnull).open("w") as stream:
        run = start(config, parts, stream, going_on, engine, on_round=on_round)
    from simulation.run.outcome import run_summary

    return RunResult(run.directory.root, run.finished, run_summary(run).as_json())
