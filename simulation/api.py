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

from simulation.config import RunConfig
from simulation.flags import read_config, settled
from simulation.parts import Parts

if TYPE_CHECKING:
    from server_strategy.optimizers.base import ServerOptimizer
    from simulation.engine.engine import Engine


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
    server_optimizer: "ServerOptimizer | None" = None,
    progress: TextIO | None = sys.stdout,
    engine: "Engine | None" = None,
) -> RunResult:
    """Run a simulation from nothing to an exported keyboard.

    Args:
        config: the settings; by default those of `scripts/simulate.py`.
        server_optimizer: moves the weights, in the place of the one that `config.server_optimizer.name` names; its
            step size is still that of the settings.
        progress: where the progress and the closing table go; nowhere if None.
        engine: one that several runs use, one after another; by default each run starts and ends its own.

    Raises:
        InputError: the settings or the data cannot be used; nothing was written.
        MachineError: the machine failed; `resume` goes on from the last checkpoint.
    """
    parts = Parts(server_optimizer=server_optimizer)
    return _run(settled(config or RunConfig()), parts, progress, going_on=False, engine=engine)


def resume(
    path: Path | str,
    *,
    server_optimizer: "ServerOptimizer | None" = None,
    progress: TextIO | None = sys.stdout,
    engine: "Engine | None" = None,
) -> RunResult:
    """Go on with a run that was stopped, bit for bit as if it had not been.

    Args:
        path: the run's folder.
        server_optimizer: what was handed in when the run began has to be handed in again.
        progress, engine: as in `simulate`.

    Raises:
        InputError: the folder holds no run, or the parts or the data are others.
        MachineError: as in `simulate`.
    """
    config = replace(settled(read_config(Path(path) / "config.toml")), output_dir=Path(path))
    return _run(config, Parts(server_optimizer=server_optimizer), progress, going_on=True, engine=engine)


def _run(
    config: RunConfig, parts: Parts, progress: TextIO | None, *, going_on: bool, engine: "Engine | None"
) -> RunResult:
    from simulation.start import start

    with nullcontext(progress) if progress is not None else Path(os.devnull).open("w") as stream:
        run = start(config, parts, stream, going_on, engine)
    from simulation.run.outcome import run_summary

    return RunResult(run.directory.root, run.finished, run_summary(run))
