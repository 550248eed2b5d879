"""The argument that many commands begin with: the folder of a run, in one of the states that a command needs it in."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro


@dataclass(frozen=True)
class OfRun:
    """Flags of a command that looks at a run, whatever became of it."""

    run_dir: Annotated[Path, tyro.conf.Positional]
    """Folder of a run."""


@dataclass(frozen=True)
class OfFinishedRun:
    """Flags of a command that needs a run's weights."""

    run_dir: Annotated[Path, tyro.conf.Positional]
    """Folder of a finished run."""


@dataclass(frozen=True)
class OfExportedRun:
    """Flags of a command that needs a run's files for phones."""

    run_dir: Annotated[Path, tyro.conf.Positional]
    """Folder of an exported run."""
