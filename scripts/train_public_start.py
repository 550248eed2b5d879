"""Train the weights that ship with the project: python scripts/train_public_start.py CORPUS.jsonl.gz

Replaces the weights of --training.shape, what is said about them, and the vocabulary, in client_model/public_start/ or
in --output-dir.
"""

import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import tyro

import simulation.early_signals  # noqa: F401  before anything else of ours
from client_model.public_start import FOLDER
from client_model.quiet import import_tensorflow_quietly
from simulation.flags import parse_with_tyro, run_door
from simulation.studies.public_start import PublicTraining, train_public_start


@dataclass(frozen=True)
class PublicStartFlags:
    """Train the weights that ship with the project."""

    corpus: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="CORPUS")]
    """JSON lines of user_id, text and source, gzipped or not."""
    training: PublicTraining = field(default_factory=PublicTraining)
    """Which, and how."""
    output_dir: Path = FOLDER
    """Where SHAPE.npz, SHAPE.json and vocab.txt go."""


def main() -> None:
    """Train and write."""
    flags = parse_with_tyro(PublicStartFlags, sys.argv[1:])
    import_tensorflow_quietly()
    train_public_start(flags.corpus, flags.training, flags.output_dir)


if __name__ == "__main__":
    sys.exit(run_door(main))
