"""Write the report of a run: python scripts/report.py RUN_DIR

One page, report.html in the run's folder: what came out, at what privacy, for whom, how fast. A run writes it when it
ends; this writes it again, or for a run that was stopped or is older, leaving out with a reason what that lacks.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from client_model.quiet import import_tensorflow_quietly
from simulation.commands.run_folder import OfRun
from simulation.flags import parse_with_tyro


@dataclass(frozen=True)
class Flags(OfRun):
    """Write the report of a run."""

    start_up: Path | None = None
    """Besides writing report.html, draw the start of a run with --engine.profile alone, as this file, whose name ends
    in .svg."""


def main(argv: Sequence[str]) -> None:
    """Gather, draw, write, say where."""
    flags = parse_with_tyro(Flags, argv)
    import_tensorflow_quietly()
    from simulation.report.page import report_of_folder
    from simulation.report.times import write_start

    if flags.start_up is not None:
        write_start(flags.run_dir, flags.start_up)  # first, so that what it refuses leaves report.html as it was
    print(report_of_folder(flags.run_dir))
    if flags.start_up is not None:
        print(flags.start_up)
