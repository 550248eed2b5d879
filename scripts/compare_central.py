"""Train in one place what a finished run trained on its phones: python scripts/compare_central.py RUN_DIR

Same model, start and people; prints what both reach on the people held out, the ratio, and what counting words
reaches: on the same people's text and, with --public-text, on a public text alone.
"""

import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import tyro

from client_model.config import CentralTraining
from client_model.quiet import import_tensorflow_quietly
from simulation.flags import parse_with_tyro, run_door


@dataclass(frozen=True)
class CentralFlags:
    """Train in one place what a finished run trained on its phones."""

    run_dir: Annotated[Path, tyro.conf.Positional]
    """Folder of a finished run."""
    training: CentralTraining = field(default_factory=CentralTraining)
    """How."""
    public_text: Path | None = None
    """Messages that nobody of the run wrote, to count words in too; their format goes by the file's ending."""


def main() -> None:
    """Train, measure, print."""
    flags = parse_with_tyro(CentralFlags, sys.argv[1:])
    import_tensorflow_quietly()
    from simulation.studies.central_comparison import compare_with_central, print_comparison

    print_comparison(sys.stdout, *compare_with_central(flags.run_dir, flags.training, public_text=flags.public_text))


if __name__ == "__main__":
    sys.exit(run_door(main))
