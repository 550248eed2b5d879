"""Recompute a run's epsilon from its ledger alone: python scripts/check_privacy.py RUN_DIR

Counts every phone's participations from the ledger's lines, verifies the chain of hashes, and
compares the result with what privacy.json claims, and the weights' hash that it names with
model/weights.npz. Nothing is written.
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass

from simulation.commands.run_folder import OfRun
from simulation.flags import parse_with_tyro


@dataclass(frozen=True)
class Flags(OfRun):
    """Recompute a run's epsilon from its ledger."""


def main(argv: Sequence[str]) -> int:
    """Check the run that the flags name; 1 if privacy.json claims anything else."""
    folder = parse_with_tyro(Flags, argv).run_dir
    from simulation.studies.privacy_check import check_statement

    return 0 if check_statement(folder, sys.stdout, sys.stderr) else 1
