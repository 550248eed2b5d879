"""Show what it costs to forget phones: python scripts/price_forgetting.py RUN_DIR, or --config FILE

Exactly, by playing rounds again from before they came: for the phones of a run, or of rounds without training under
settings. And beside it what is left to know of a phone that stays in.
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from simulation.config import settled
from simulation.flags import parse_with_tyro, read_config
from typefleet.errors import ConfigError, expected


@dataclass(frozen=True)
class Flags:
    """Show what it costs to forget phones."""

    run_dir: Annotated[Path | None, tyro.conf.Positional] = None
    """Folder of a run, whatever became of it."""
    config: Path | None = None
    """TOML file with the settings of a simulation, in the place of a run."""


def main(argv: Sequence[str]) -> None:
    """Print the tables."""
    flags = parse_with_tyro(Flags, argv)
    if (flags.run_dir is None) == (flags.config is None):
        found = "neither" if flags.run_dir is None else "both"
        raise ConfigError(expected("whose phones are forgotten", "RUN_DIR or --config FILE", found))
    from simulation.studies.forgetting.cost_report import price  # takes a second to import

    config = read_config(flags.config if flags.run_dir is None else flags.run_dir / "config.toml")  # type: ignore[arg-type]
    price(sys.stdout, config if flags.config is None else settled(config), flags.run_dir)
