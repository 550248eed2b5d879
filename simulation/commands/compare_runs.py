"""Compare finished runs: python scripts/compare_runs.py RUN RUN ... [--by privacy.mechanism] [--output-dir DIR]

Says in which settings the runs differ, how good each is, with an interval, which differences are shown and which are
not, what privacy they have, and what they cost. Runs that differ in their seed alone are put together. With
--output-dir also as a page, as tables, and as figures of the width of a column.
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from simulation.flags import parse_with_tyro
from simulation.tables import console_for


@dataclass(frozen=True)
class Flags:
    """Compare finished runs."""

    runs: Annotated[tuple[Path, ...], tyro.conf.Positional, tyro.conf.arg(metavar="RUN_DIR...")]
    """Folders of the runs."""
    by: tuple[str, ...] = ()
    """Settings that make a group, such as privacy.mechanism; by default all but the seed. run: each by itself."""
    reference: str | None = None
    """The group that the others are compared with: its name, or one of its folders; by default the first."""
    allow_unfinished: bool = False
    """Take runs that were stopped as their last checkpoint has them."""
    rank_across_deployments: bool = False
    """Rank epsilons although they are of different deployments, and say so."""
    output_dir: Path | None = None
    """Folder for comparison.html, .csv, .parquet and the figures."""


def main(argv: Sequence[str]) -> None:
    """Read, compare, write, print."""
    flags = parse_with_tyro(Flags, argv)
    from simulation.studies.comparing.comparison import compare_runs
    from simulation.studies.comparing.files import require_folder, write_comparison
    from simulation.studies.comparing.tables import print_comparison

    require_folder(flags.output_dir, flags.runs)
    found = compare_runs(
        flags.runs,
        [name for names in flags.by for name in names.split(",") if name],
        flags.reference,
        allow_unfinished=flags.allow_unfinished,
        rank_across_deployments=flags.rank_across_deployments,
    )
    written = [] if flags.output_dir is None else write_comparison(found, flags.output_dir)
    console = console_for(sys.stdout)
    print_comparison(console, found)
    for path in written:
        console.print(str(path))
