"""Take phones out of a run, as if they had never come: python scripts/forget.py RUN_DIR --phones NAME... [--dry-run]

The run goes back to its newest checkpoint from before they first took part, or to its beginning, and plays the rounds
since again without them, with fresh noise. What was released before cannot be called back, and its epsilon stays
spent. With --dry-run it says what that would take. A run that is killed meanwhile goes on with the same command, or
with simulate.py --resume.
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from simulation.commands.run_folder import OfRun
from simulation.config import RunConfig
from simulation.flags import parse_with_tyro
from simulation.signals import INTERRUPTED

if TYPE_CHECKING:
    from simulation.run.lifecycle import Run


@dataclass(frozen=True)
class Flags(OfRun):
    """Take phones out of a run, as if they had never come."""

    phones: tuple[str, ...]
    """Which: user ids of the data; or labels in the run's records, 16 hexadecimal digits; or # and a number, from 0,
    for phones that have no user id. Or one file with such a name a line."""
    dry_run: bool = False
    """Say what it would take, and change nothing."""


def main(argv: Sequence[str]) -> int:
    """Forget the phones, or say what it would take; 130 if it was interrupted, and is to be gone on with."""
    flags = parse_with_tyro(Flags, argv)
    from simulation.parts import Parts
    from simulation.start import start
    from simulation.studies.forgetting.forget import forget

    def play(config: RunConfig) -> "Run":
        return start(config, Parts(), sys.stdout, resume=True)

    done = forget(sys.stdout, flags.run_dir, flags.phones, play=play, dry_run=flags.dry_run)
    return 0 if done else INTERRUPTED
