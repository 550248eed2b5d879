"""Attack a run, or settings: python scripts/audit.py RUN_DIR, or --config FILE

Each attack has its attacker, what they see, what was measured with its interval, and the bound that it should have
kept. Prints a table and writes audit.json into the run's folder, or into --output-dir. Exit code 1: a bound fell.
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import annotated_types as at
import tyro

from simulation.commands.run_folder import held
from simulation.config import settled
from simulation.flags import parse_with_tyro, read_config
from simulation.tables import console_for
from typefleet.errors import ConfigError, expected


@dataclass(frozen=True)
class Flags:
    """Attack a run, or settings, and hold what comes of it to what is claimed."""

    run_dir: Annotated[Path | None, tyro.conf.Positional] = None
    """Folder of a finished run."""
    config: Path | None = None
    """TOML file with the settings of a simulation, in the place of a run: attacks that need no model."""
    attacks: tuple[str, ...] = ()
    """Attacks to carry out; by default all that there can be."""
    quick: bool = False
    """Do less of each: all attacks in minutes, with wider intervals."""
    seed: Annotated[int, at.Ge(0)] = 0
    """Of everything that the attacks draw."""
    output_dir: Path | None = None
    """Folder for audit.json; by default the run's, or runs/audit with --config."""


def main(argv: Sequence[str]) -> int:
    """Attack, print, write; 1 if a bound fell."""
    flags = parse_with_tyro(Flags, argv)
    if (flags.run_dir is None) == (flags.config is None):
        found = "neither" if flags.run_dir is None else "both"
        raise ConfigError(expected("what is attacked", "RUN_DIR or --config FILE", found))
    from simulation.studies.audits.attack import Subject
    from simulation.studies.audits.audit import carry_out, draw_figures, print_audit, write_audit

    file = flags.config if flags.run_dir is None else flags.run_dir / "config.toml"
    subject = Subject(settled(read_config(file)), flags.seed, flags.quick, flags.run_dir)
    audit = carry_out(subject, flags.attacks)
    console = console_for(sys.stdout)
    print_audit(console, audit)
    folder = flags.output_dir or flags.run_dir or Path("runs/audit")
    with held(folder):
        paths = [write_audit(folder, audit), *draw_figures(folder, audit)]
    for path in paths:
        console.print(str(path))
    return 1 if audit.fallen else 0
