"""The argument that many commands begin with: the folder of a run, in one of the states that a command needs it in."""

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from simulation.run.lock import only_writer


@dataclass(frozen=True)
class OfRun:
    """Flags of a command that looks at a run, whatever became of it."""

    run_dir: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="RUN_DIR")]
    """Folder of a run."""


@dataclass(frozen=True)
class OfFinishedRun:
    """Flags of a command that needs a run's weights."""

    run_dir: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="RUN_DIR")]
    """Folder of a finished run."""


@dataclass(frozen=True)
class OfExportedRun:
    """Flags of a command that needs a run's files for phones."""

    run_dir: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="RUN_DIR")]
    """Folder of an exported run."""


def held(run_dir: Path) -> AbstractContextManager[None]:
    """Hold a run while a command writes several files into its folder; what is no run is said by who reads it.

    Raises:
        RunInUseError: a process is working on it.
    """
    return only_writer(run_dir) if (run_dir / "config.toml").is_file() else nullcontext()
