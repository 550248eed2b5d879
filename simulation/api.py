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

from client_model.quiet import import_tensorflow_quietly
from simulation.config import RunConfig
from simulation.flags import read_config, settled
from simulation.parts import Parts

if TYPE_CHECKING:
    from collections.abc import Sequence

    from client_model.learning.cells.base import Cell
    from client_model.metrics.metric import Metric
    from server_strategy.optimizers.base import ServerOptimizer


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
            f"{'no privacy' if epsilon is None else f'epsilon {epsilon:.3g}'}"
        )


def simulate(
    config: RunConfig | None = None,
    *,
    cell: "Cell | None" = None,
    server_optimizer: "ServerOptimizer | None" = None,
    metrics: "Sequence[Metric]" = (),
    progress: TextIO | None = sys.stdout,
) -> RunResult:
    """Run a simulation from nothing to an exported keyboard.

    Args:
        config: the settings; by default those of `scripts/simulate.py`.
        cell: what the model remembers with, in the place of the one that `config.model.cell` names; see
            `client_model.learning.cells.base`. It may be defined in the notebook itself.
        server_optimizer: moves the weights, in the place of the one that `config.server_optimizer.name` names; its
            step size is still that of the settings.
        metrics: to measure beside those that `config.evaluation.metrics` names.
        progress: where the progress and the closing table go; nowhere if None.

    Raises:
        InputError: the settings or the data cannot be used; nothing was written.
        MachineError: the machine failed; `resume` goes on from the last checkpoint.
    """
    parts = Parts(cell=cell, server_optimizer=server_optimizer, metrics=tuple(metrics))
    with parts.at_their_doors():
        config = settled(config or RunConfig())
    return _run(config, parts, progress, going_on=False)


def resume(
    path: Path | str,
    *,
    cell: "Cell | None" = None,
    server_optimizer: "ServerOptimizer | None" = None,
    metrics: "Sequence[Metric]" = (),
    progress: TextIO | None = sys.stdout,
) -> RunResult:
    """Go on with a run that was stopped, bit for bit as if it had not been.

    Args:
        path: the run's folder.
        cell, server_optimizer, metrics: what was handed in when the run began has to be handed in again.
        progress: as in `simulate`.

    Raises:
        InputError: the folder holds no run, or the parts or the data are others.
        MachineError: as in `simulate`.
    """
    parts = Parts(cell=cell, server_optimizer=server_optimizer, metrics=tuple(metrics))
    with parts.at_their_doors():
        config = replace(settled(read_config(Path(path) / "config.toml")), output_dir=Path(path))
    return _run(config, parts, progress, going_on=True)


def _run(config: RunConfig, parts: Parts, progress: TextIO | None, *, going_on: bool) -> RunResult:
    import_tensorflow_quietly()
    from client_model.learning.local_training import limit_threads
    from simulation.run.outcome import run_summary
    from simulation.run.preparation import prepare
    from simulation.runner import run_to_the_end

    limit_threads(1)  # central training gives the same bits on any number of cores
    with nullcontext(progress) if progress is not None else Path(os.devnull).open("w") as stream:
        run = run_to_the_end(prepare(config, going_on, parts), going_on, stream)
    return RunResult(run.directory.root, run.finished, run_summary(run).as_json())
