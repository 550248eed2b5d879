"""Play weeks of rounds of a fleet without training: python scripts/fleet_dry_run.py --fleet.size 1000000

Takes the settings of scripts/simulate.py, by flags or --config, as they stand; of flags for what only training needs a
line says that they have no effect here. Prints tables, and writes them, each round's record, and a page of plots. With
--seeds 3, each figure with its interval over that many fleets. With any flag of --grid, the rounds with and without
secure aggregation, over size of the cohort, neighbours, threshold and latency.
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated

import annotated_types as at
import tyro

from server_strategy.privacy.config import PrivacyConfig
from simulation.config import RunConfig, check
from simulation.flags import parse_with_settings
from simulation.settings import choose
from simulation.studies.dry_run_settings import (
    GRID_FLAGS,
    NO_GRID,
    NO_PROTECTION,
    PROTECTION_FLAGS,
    Grid,
    Protection,
    ignores,
    require_each_once,
)
from simulation.tables import console_for
from typefleet.errors import ConfigError, expected
from typefleet.setting_types import unusable_text
from typefleet.untrusted.limits import STUDY_SETTINGS

_OFTEN = (
    *("--days", "--seeds", "--config", "--output-dir", "--seed", "--fleet.size", "--fleet.availability"),
    *("--fleet.trace", "--cohort.goal", "--cohort.policy", "--cohort.deadline-s", "--cohort.min-separation-rounds"),
    *("--model.preset", *PROTECTION_FLAGS, *GRID_FLAGS),
)


@dataclass(frozen=True)
class Flags:
    """Play weeks of rounds of a fleet without training."""

    run: Annotated[RunConfig, tyro.conf.arg(name="")]
    days: Annotated[float, at.Gt(0), at.Le(3660)] = 14.0
    """Simulated days to play."""
    seeds: Annotated[int, at.Ge(1), at.Le(STUDY_SETTINGS)] = 1
    """Fleets to play, each with a seed of its own, from --seed on; of two or more, figures have 95 % intervals."""
    protection: Protection = field(default_factory=Protection)
    """Of each update from the server; with any, all is played a second time without, and shown beside it."""
    grid: Grid = field(default_factory=Grid)
    """Cells of secure aggregation, each played by the same fleet as rounds without it."""
    config: Path | None = None
    """TOML file with the settings of a simulation."""


def parse(argv: Sequence[str]) -> Flags:
    """Flags over file over defaults.

    Raises:
        ConfigError: anything unknown, malformed or out of bounds; a run's folder where its config.toml is meant.
    """
    is_no_flag = bool(argv) and (not argv[0].startswith("-") or argv[0].split("=")[0] == "--resume")
    if is_no_flag and unusable_text(argv[0]) is None:  # what is none is refused with the others
        found = "--resume" if argv[0].startswith("-") else "a word without a flag"
        raise ConfigError(
            expected("the command line", "flags; --config RUN_DIR/config.toml plays a run's fleet", found)
        )
    unheeded: list[str] = []
    others = ("--config", "--days", "--seeds", *PROTECTION_FLAGS, *GRID_FLAGS)
    flags = parse_with_settings(Flags, argv, others, ignores, often=_OFTEN, tell=unheeded.extend)
    if flags.run.aggregation.robust != "none" and flags.run.privacy == PrivacyConfig():
        # No flag here says that the run which is played has no noise, without which no rule goes.
        flags = replace(flags, run=choose(flags.run, {("privacy", "mechanism"): "none"}))
    check(flags.run)
    if flags.grid != NO_GRID:
        require_each_once(flags.grid)
    elif flags.protection != NO_PROTECTION and flags.run.aggregation.is_summed:
        only = "only without --aggregation.protocol, whose steps have costs of their own"
        raise ConfigError(expected("--protection", only, f"it with {flags.run.aggregation.protocol}"))
    if unheeded:  # taken over with the others of a run
        print(f"note: without effect here, where nothing is trained: {', '.join(unheeded)}", file=sys.stderr)
    return flags


def main(argv: Sequence[str]) -> None:
    """Play the rounds, print the figures and write the files of a dry run."""
    flags = parse(argv)
    from simulation.studies.aggregation_grid_report import play_grid_and_report  # takes a second to import
    from simulation.studies.dry_run_protection import play_beside_plain
    from simulation.studies.dry_run_report import play_and_report

    console = console_for(sys.stdout)
    settings = (console, flags.run, flags.days, flags.seeds)
    if flags.grid != NO_GRID:
        files = play_grid_and_report(*settings, grid=flags.grid, protection=flags.protection)
    elif flags.protection == NO_PROTECTION:
        files = play_and_report(*settings)
    else:
        files = play_beside_plain(*settings, flags.protection)
    for path in files:
        console.print(str(path))
