"""Wrap the keys of runs by another storage key: python scripts/rotate_key.py RUN_DIR... --to PLACE

What is encrypted stays as it is: only the small file with the run's key is written again, whole or not at all. A
folder may be that of a cache as well, which has a key for each tokenised file. From then on the old storage key opens
nothing of them. A place is the path of a key file, env:NAME, passphrase:NAME or passphrase: to be asked.
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
    """Wrap the keys of runs and caches by another storage key."""

    folders: Annotated[tuple[Path, ...], tyro.conf.Positional, tyro.conf.arg(metavar="FOLDER...")]
    """Folders of encrypted runs, or caches."""
    to: str
    """Place of the new storage key."""
    old: str | None = None
    """Place of the old one; by default each folder says where it was."""


def main(argv: Sequence[str]) -> None:
    """Wrap them, and say which."""
    flags = parse_with_tyro(Flags, argv)
    from simulation.studies.key_life import print_rotated, rotate

    print_rotated(sys.stdout, rotate(flags.folders, flags.to, flags.old))
