"""Show what it costs to forget phones: python scripts/price_forgetting.py RUN_DIR, or --config FILE

Exactly, by playing rounds again from before they came: for the phones of a run, or of rounds without training under
settings. And beside it what is left to know of a phone that stays in. With --leak, in minutes: an approximate method,
and what an attacker still learns of the phones after it and after a training without them.
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import annotated_types as at
import tyro

from simulation.config import RunConfig, settled
from simulation.flags import parse_with_tyro, read_config
from typefleet.errors import ConfigError, expected


@dataclass(frozen=True)
class Flags:
    """Show what it costs to forget phones."""

    run_dir: Annotated[Path | None, tyro.conf.Positional, tyro.conf.arg(metavar="[RUN_DIR]")] = None
    """Folder of a run, whatever became of it."""
    config: Path | None = None
    """TOML file with the settings of a simulation, in the place of a run."""
    leak: bool = False
    """Train models, let them forget phones in an approximate way and by training again, and attack both instead."""
    quick: bool = False
    """With --leak: do less, with wider intervals."""
    seed: Annotated[int, at.Ge(0), at.Lt(2**63)] = 0
    """With --leak: of everything that is drawn."""


def main(argv: Sequence[str]) -> None:
    """Print the tables."""
    flags = parse_with_tyro(Flags, argv)
    if (flags.run_dir is None) == (flags.config is None):
        found = "neither" if flags.run_dir is None else "both"
        raise ConfigError(expected("whose phones are forgotten", "RUN_DIR or --config FILE", found))
    if not flags.leak and (flags.quick or flags.seed):
        raise ConfigError(expected("--quick" if flags.quick else "--seed", "only with --leak", "it without"))
    if flags.config is not None:
        config = settled(read_config(flags.config))
    else:
        # Settled when it began; what attacks it trains by its settings.
        config = read_config((flags.run_dir or Path()) / "config.toml", begun=not flags.leak)
    if flags.leak:
        _leak(config, flags)
        return
    from simulation.studies.forgetting.cost_report import price  # takes a second to import

    price(sys.stdout, config, flags.run_dir)


def _leak(config: RunConfig, flags: Flags) -> None:
    from simulation.studies.audits.attack import Subject
    from simulation.studies.forgetting.leak import Effort, leak_of
    from simulation.studies.forgetting.leak_report import print_leaks

    subject = Subject(config, flags.seed, flags.quick, flags.run_dir)
    print_leaks(sys.stdout, leak_of(subject, Effort.of(flags.quick)))
