"""Show and check the audit trail of a run: python scripts/check_trail.py RUN_DIR [--head HASH]

Who gave which command on the run, when, and what became of it. Each line of the trail has the hash of the line before
it: one that was changed, moved or taken out is said with its place, and with the hash of a line that was kept elsewhere
also whether lines were cut off the end. Exit code 1: something was done to the trail.
"""

import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass

from simulation.commands.run_folder import OfRun
from simulation.flags import parse_with_tyro
from typefleet.errors import ConfigError, expected


@dataclass(frozen=True)
class Flags(OfRun):
    """Show who gave which command on a run, and check that nothing of that was changed."""

    head: str | None = None
    """Hash of a line, which an earlier check printed and somebody kept elsewhere: it has to be there still."""
    json: bool = False
    """Print one JSON object."""


def main(argv: Sequence[str]) -> int:
    """Check and show the trail of the run that the flags name; 1 if it does not hold."""
    flags = parse_with_tyro(Flags, argv)
    if flags.head is not None and not re.fullmatch("[0-9a-f]{64}", flags.head):
        raise ConfigError(
            expected("--head", "64 hexadecimal digits, as a check of a trail prints them", "another text")
        )
    from simulation.studies.trail_check import check_trail, show_trail

    return 0 if show_trail(check_trail(flags.run_dir, flags.head), sys.stdout, sys.stderr, as_json=flags.json) else 1
