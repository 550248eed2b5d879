"""Recompute a run's epsilon from its ledger alone: python scripts/check_privacy.py RUN_DIR

Counts every phone's participations from the ledger's lines, verifies the chain of hashes, and
compares the result with what privacy.json claims, and the weights' hash that it names with
model/weights.npz. Nothing is written.
"""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from simulation.flags import parse_with_tyro, run_door


@dataclass(frozen=True)
class CheckFlags:
    """Recompute a run's epsilon from its ledger."""

    run_dir: Annotated[Path, tyro.conf.Positional]
    """Folder of a run."""


def main() -> int:
    """Check the run that the flags name; 1 if privacy.json claims anything else."""
    from simulation.studies.privacy_check import check_statement

    folder = parse_with_tyro(CheckFlags, sys.argv[1:]).run_dir
    return 0 if check_statement(folder, sys.stdout, sys.stderr) else 1


if __name__ == "__main__":
    sys.exit(run_door(main))
