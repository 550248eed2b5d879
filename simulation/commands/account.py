"""Show what all runs on a privacy account cost each phone together: python scripts/account.py ACCOUNT [--json]

An account is a file that runs on the same data keep with --privacy.account. Nothing is changed, unless a run is given
up for good with --abandon.
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from simulation.flags import parse_with_tyro


@dataclass(frozen=True)
class Flags:
    """Show what all runs on an account cost each phone together, and what is left."""

    account: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="ACCOUNT")]
    """File that runs name with --privacy.account."""
    json: bool = False
    """Print JSON instead of a table."""
    abandon: Path | None = None
    """Folder of a run on the account that nobody will go on with: charge what it has spent instead of the most that it
    could. That is for good, and of the very folder that was charged, not of a copy. Of one that was killed before its
    first round the folder may be gone; it is freed if it cannot have released anything."""


def main(argv: Sequence[str]) -> None:
    """Print the account; first charge a run that is given up with what it has spent."""
    flags = parse_with_tyro(Flags, argv)
    from simulation.studies.account_report import account_json, print_account

    if flags.abandon is not None:
        from simulation.run.abandoning import abandon

        abandon(flags.abandon, flags.account)
    (account_json if flags.json else print_account)(sys.stdout, flags.account)
