"""Try many settings, each over several seeds: python scripts/sweep.py study.toml

The file says what is searched, how, and what is looked at; `simulation/studies/sweeps/study_file.py` and configs/ have
examples. Prints a table with intervals, writes results.csv, results.parquet and a figure. A sweep that was stopped or
killed goes on with the same --output-dir; with --retry-failed too, what failed in it is tried again.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated

import tyro
from annotated_types import Ge, Le

from client_model.quiet import import_tensorflow_quietly
from simulation.config import RunConfig
from simulation.flags import parse_with_tyro
from simulation.settings import choose, flag_name, leaves
from typefleet.errors import ConfigError, expected
from typefleet.untrusted.limits import STUDY_SETTINGS


@dataclass(frozen=True)
class Flags:
    """Try many settings, each over several seeds."""

    study: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="STUDY")]
    """TOML file that says what is tried."""
    output_dir: Path | None = None
    """Folder for the runs and results; one that holds a part of the sweep goes on. By default a new one in runs/."""
    seeds: Annotated[int | None, Ge(1), Le(STUDY_SETTINGS)] = None
    """Runs of each setting, in the place of the file's."""
    trials: Annotated[int | None, Ge(1), Le(STUDY_SETTINGS)] = None
    """Settings to try by random or tpe, in the place of the file's."""
    parallel: Annotated[int | None, Ge(1)] = None
    """Runs at the same time, each with its share of the processors; by default one here, and on a cluster as many as
    it has processors for. With a pruner one: what it ends would depend on which run is faster."""
    retry_failed: bool = False
    """Make a further attempt at each trial in --output-dir that failed, from where its runs stopped. Why it failed
    stays recorded, and what is finished is left alone."""
    address: str | None = None
    """Carry the runs out on the Ray cluster at this address (host:port), each on one of its machines. The folder of the
    sweep, and the text, must be on a file system that all of them share."""


def _refuse_settings_of_runs(argv: Sequence[str]) -> None:
    """Say where a setting of the runs is given, instead of that there is no such flag.

    Raises:
        ConfigError: one of the arguments is a flag of scripts/simulate.py.
    """
    own = {"--" + field.name.replace("_", "-") for field in fields(Flags)}
    sections = {path[0] for path in leaves(choose(RunConfig(), {})) if len(path) > 1}
    settings = {flag_name(path): path for path in leaves(choose(RunConfig(), {})) if path != ("seed",)}
    for argument in argv:
        name = argument.partition("=")[0]
        path = settings.get(name) or tuple(name.removeprefix("--").replace("-", "_").split("."))
        if name in own or not name.startswith("--") or (name not in settings and path[0] not in sections):
            continue
        table = ".".join(("settings", *path[:-1]))
        hint = f"; it is given in the study file, as {path[-1]} = ... below [{table}]"
        raise ConfigError(expected(name, "a flag of the sweep", "a setting of its runs") + hint)


def main(argv: Sequence[str]) -> int:
    """Carry out the sweep; 1 if no setting could be."""
    _refuse_settings_of_runs(argv)
    flags = parse_with_tyro(Flags, argv)
    from simulation.studies.sweeps.study_file import read_study

    study = read_study(flags.study, seeds=flags.seeds, trials=flags.trials)
    import_tensorflow_quietly()
    from simulation.studies.sweeps.carry_out import carry_out  # seconds of imports, for a study that is accepted

    result = carry_out(study, flags.output_dir, flags.parallel, address=flags.address, retry_failed=flags.retry_failed)
    return 0 if result.best is not None or not all(t.state == "failed" for t in result.trials) else 1
