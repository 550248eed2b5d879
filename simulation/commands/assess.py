"""Write the regulator's file of a run: python scripts/assess.py RUN_DIR

A data protection impact assessment and a record of processing, from what the run really was: assessment.md,
assessment.html and assessment.json in the run's folder, or in --output-dir. It needs no key, and works on an expired
run. What a person must decide is left open and counted. It is no legal advice.
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from simulation.commands.run_folder import OfRun
from simulation.flags import parse_with_tyro
from simulation.tables import console_for


@dataclass(frozen=True)
class Flags(OfRun):
    """Write the regulator's file of a run."""

    data_audit: Path | None = None
    """data_audit.json of scripts/audit_data.py, of the text that the run trained on, or the folder that it is in."""
    policy: Path | None = None
    """TOML file: days that each category is kept, as scripts/retain.py has it."""
    output_dir: Path | None = None
    """Folder for the three files; by default the run's, which may be one that you can only read."""


def main(argv: Sequence[str]) -> None:
    """Gather, write, print."""
    flags = parse_with_tyro(Flags, argv)
    from simulation.studies.assessment.assessment import assess
    from simulation.studies.assessment.showing import print_assessment, write_assessment

    found, console = assess(flags.run_dir, flags.data_audit, flags.policy), console_for(sys.stdout)
    paths = write_assessment(flags.output_dir or flags.run_dir, found)
    print_assessment(console, found)
    for path in paths:
        console.print(str(path), soft_wrap=True)
