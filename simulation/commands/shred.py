"""Erase the key of an encrypted run, and with it all that is encrypted there: python scripts/shred.py RUN_DIR [--apply]

Without --apply it says what would go. Afterwards nobody reads the run's checkpoints, the secret of its noise or what
was counted on held-out phones, whatever copies of them there are; the run cannot go on. Its privacy statement still
holds, and its log of deletions says what was done. A folder may be that of a cache as well.
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
    """Erase the keys of encrypted runs, for good."""

    folders: Annotated[tuple[Path, ...], tyro.conf.Positional, tyro.conf.arg(metavar="FOLDER...")]
    """Folders of encrypted runs, or caches."""
    apply: bool = False
    """Do it; without, it is only said what would go."""


def main(argv: Sequence[str]) -> None:
    """Erase them, or say what would go."""
    flags = parse_with_tyro(Flags, argv)
    from simulation.studies.key_life import shred_all

    shred_all(sys.stdout, flags.folders, apply=flags.apply)
