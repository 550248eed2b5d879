"""Attack a run, or settings: python scripts/audit.py RUN_DIR, or --config FILE

Each attack has its attacker, what they see, what was measured with its interval, and the bound that it should have
kept. Prints a table, and writes audit.json, and as a page for a reader who signs audit.html, into the run's folder or
into --output-dir. Exit code 1: a bound fell.
With --config and --epsilons: the canaries alone, for each mechanism, epsilon and seed, as a table and canaries.json.
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import annotated_types as at
import tyro

from simulation.commands.run_folder import held
from simulation.config import settled
from simulation.flags import parse_with_tyro, read_config
from simulation.tables import console_for
from typefleet.errors import ConfigError, expected

if TYPE_CHECKING:
    from simulation.studies.audits.attack import Subject

_FOLDER = Path("runs/audit")


@dataclass(frozen=True)
class Flags:
    """Attack a run, or settings, and hold what comes of it to what is claimed."""

    run_dir: Annotated[Path | None, tyro.conf.Positional, tyro.conf.arg(metavar="[RUN_DIR]")] = None
    """Folder of a finished run."""
    config: Path | None = None
    """TOML file with the settings of a simulation, in the place of a run: attacks that need no model."""
    attacks: tuple[str, ...] = ()
    """Attacks to carry out: canaries, canaries-trained, words, memorisation, memorisation-groups, membership, poison,
    fairness, drift; by default all that there can be."""
    quick: bool = False
    """Do less of each: all attacks in minutes, with wider intervals."""
    seed: Annotated[int, at.Ge(0), at.Lt(2**63)] = 0
    """Of everything that the attacks draw."""
    epsilons: Annotated[tuple[float, ...], at.Gt(0)] = ()
    """With --config: play the canaries for each of these targets, each mechanism and each seed, and nothing else."""
    mechanisms: tuple[str, ...] = ()
    """With --epsilons; by default all that are private."""
    seeds: Annotated[int, at.Ge(1)] = 3
    """With --epsilons: fleets, canaries and noise, each with a seed of its own, from --seed on."""
    output_dir: Path | None = None
    """Folder for audit.json or canaries.json; by default the run's, or runs/audit with --config."""


def main(argv: Sequence[str]) -> int:
    """Attack, write, print; 1 if a bound fell."""
    flags = parse_with_tyro(Flags, argv)
    if (flags.run_dir is None) == (flags.config is None):
        found = "neither" if flags.run_dir is None else "both"
        one = "RUN_DIR, before any --attacks, or --config FILE" if flags.attacks else "RUN_DIR or --config FILE"
        raise ConfigError(expected("what is attacked", one, found))
    if flags.epsilons and (flags.config is None or flags.attacks):
        raise ConfigError(expected("--epsilons", "with --config, and without --attacks", "RUN_DIR or --attacks"))
    if flags.mechanisms and not flags.epsilons:
        raise ConfigError(expected("--mechanisms", "only with --epsilons", "it without"))
    _require_private(flags.mechanisms)
    from simulation.studies.audits.attack import Subject

    if flags.config is not None:
        config = settled(read_config(flags.config))
    else:
        config = read_config((flags.run_dir or Path()) / "config.toml")  # settled when it began
    subject = Subject(config, flags.seed, flags.quick, flags.run_dir)
    return _table(flags, subject) if flags.epsilons else _audit(flags, subject)


def _require_private(mechanisms: Sequence[str]) -> None:
    """Refuse a mechanism that is none, before anything is read or played."""
    if not mechanisms:
        return
    from server_strategy.privacy.mechanisms.door import private_mechanisms

    for name in mechanisms:
        if name not in private_mechanisms():
            raise ConfigError(expected("--mechanisms", f"one of {', '.join(private_mechanisms())}", repr(name)))


def _audit(flags: Flags, subject: "Subject") -> int:
    from simulation.studies.audits import audit as study
    from simulation.studies.audits.page import write_page

    folder = flags.output_dir or flags.run_dir or _FOLDER
    study.read_audit(folder)  # a damaged one is refused before minutes are spent
    audit, console = study.carry_out(subject, flags.attacks), console_for(sys.stdout)
    with held(folder):  # before it is shown, in case its reader goes
        audit = study.with_earlier(audit, study.read_audit(folder))
        if (folder / "config.toml").is_file():  # a run, which nobody else writes to now
            study.clear_unfinished(folder)
        paths = [study.write_audit(folder, audit), *study.draw_figures(folder, audit)]
        paths.append(write_page(folder, audit))
    study.print_audit(console, audit)
    for path in paths:
        console.print(str(path))
    return 1 if audit.fallen else 0


def _table(flags: Flags, subject: "Subject") -> int:
    from simulation.studies.audits import canary_table as study

    rows = study.play_table(subject, flags.mechanisms, flags.epsilons, flags.seeds)
    path, console = study.write_rows(flags.output_dir or _FOLDER, rows), console_for(sys.stdout)
    study.print_rows(console, rows)
    console.print(str(path))
    return 1 if any(row.fallen for row in rows) else 0
