"""Publish a run: python scripts/publish.py RUN_DIR FOLDER

Writes a new folder with what the run's privacy guarantee covers, or what is public, and nothing else: the model's
files, without what was measured on people who never train, and the privacy statement. Says what was left out, and why.
A run whose guarantee does not cover its files is refused unless you say in words what they lack.
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from simulation.commands.run_folder import OfFinishedRun, held
from simulation.flags import parse_with_tyro
from simulation.studies.publishing_lacks import Lack


@dataclass(frozen=True)
class Flags(OfFinishedRun):
    """Publish what the guarantee of a run covers."""

    run_dir: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="RUN_DIR")]
    """Folder of a finished run."""
    folder: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="FOLDER")]
    """New folder; it must not be there yet."""
    although: tuple[Lack, ...] = ()
    """What the files lack, so that they are published all the same: no-privacy, modelled-deployment (the guarantee is
    that of another deployment), seeded-noise (repeatable), vocabulary (not public), start (its cost is not known)."""
    evaluation: bool = False
    """Leave in what was measured on people who never train, who have no guarantee, and an export's signature."""
    sign: Path | None = None
    """Ed25519 private key (PEM) to sign the new manifest with."""


def main(argv: Sequence[str]) -> None:
    """Publish, and say what was left out."""
    flags = parse_with_tyro(Flags, argv)
    from simulation.studies.publishing import print_published, publish

    with held(flags.run_dir):
        done = publish(flags.run_dir, flags.folder, flags.although, evaluation=flags.evaluation, key=flags.sign)
    print_published(sys.stdout, done, flags.folder)
