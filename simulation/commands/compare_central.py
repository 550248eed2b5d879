"""Train in one place what a finished run trained on its phones: python scripts/compare_central.py RUN_DIR

Same model, start and people; prints what both reach on the people held out, the ratio, and what counting words
reaches: on the same people's text and, with --public-text, on a public text alone. What central training reached is
kept in the run's folder, as central.json. A run does the same by itself at its end, with --evaluation.central.
Intervals are over the people held out (bootstrap); with --seeds 3 also over that many orders of the text.
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import annotated_types as at

from client_model.config import CentralTraining
from client_model.quiet import import_tensorflow_quietly
from simulation.commands.run_folder import OfFinishedRun
from simulation.flags import parse_with_tyro
from typefleet.untrusted.limits import STUDY_SETTINGS


@dataclass(frozen=True)
class Flags(OfFinishedRun):
    """Train in one place what a finished run trained on its phones."""

    training: CentralTraining = field(default_factory=CentralTraining)
    """How it goes in one place."""
    public_text: Path | None = None
    """Messages that nobody of the run wrote, to count words in too; their format goes by the file's ending."""
    seeds: Annotated[int, at.Ge(1), at.Le(STUDY_SETTINGS)] = 1
    """Central trainings, each with a seed of its own, from the run's on, which orders the text; people are the same."""


def main(argv: Sequence[str]) -> None:
    """Train, measure, print."""
    flags = parse_with_tyro(Flags, argv)
    import_tensorflow_quietly()
    from simulation.run.central import CentralTrained, write_central
    from simulation.studies.central_comparison import compare_with_central, print_comparison

    found, prepared = compare_with_central(flags.run_dir, flags.training, flags.public_text, flags.seeds)
    print_comparison(sys.stdout, found, prepared)
    trained = CentralTrained(flags.training.epochs, flags.training.learning_rate, found.central.metrics)
    write_central(flags.run_dir, trained)  # after it is printed: the folder may be one that cannot be written
