"""When each phone first took part, and after which rounds checkpoints were written: in a run, or in a dry one."""

from dataclasses import dataclass, replace
from math import inf
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from server_strategy.privacy.ledger_lines import is_release, participants_of, read_ledger
from server_strategy.privacy.ledger_paths import way_to
from simulation.config import RunConfig
from simulation.run.checkpoint import numbered
from simulation.run.directory import RunDirectory
from simulation.studies.dry_run import DryRun, prepare_dry_run, run_days
from typefleet.errors import ConfigError, expected
from typefleet.steps import step


@dataclass(frozen=True)
class Arrivals:
    """Who came when. Rounds are counted as a run counts them, abandoned ones too, from 1."""

    first: NDArray[np.int64]  # [phones that took part], the round in whose sum each first was; in order
    released: NDArray[np.int64]  # [releases], rounds that made one; in order
    rounds: int
    checkpoint_every: int  # releases
    on_disk: tuple[int, ...] | None = None  # rounds of a run's checkpoints that are there now; None: it is a dry one

    @property
    def written(self) -> tuple[int, ...]:
        """Rounds after which a checkpoint is written: before the first, every so many releases, and at the end."""
        every = self.released[self.checkpoint_every - 1 :: self.checkpoint_every].tolist()
        return tuple(sorted({0, *every, self.rounds}))


def arrivals_of_run(root: Path, config: RunConfig) -> Arrivals:
    """From the ledger of a run, whatever became of it.

    Args:
        root: folder of the run.
        config: of it.

    Raises:
        LedgerError, ConfigError: its records are missing or damaged, or nobody took part yet.
    """
    directory = RunDirectory(root)
    entries = read_ledger(directory.ledger)[0] if directory.ledger.exists() else []
    last = max((at for at, entry in enumerate(entries) if is_release(entry) and entry["release"]), default=None)
    if last is None:
        raise ConfigError(expected(directory.ledger, "a run in which somebody took part", "none"))
    first: dict[int, int] = {}
    released = []
    for line in way_to(entries, last):
        number = int(entries[line]["round"])
        released.append(number)
        for label in participants_of(directory.ledger, line, entries[line]).tolist():
            first.setdefault(label, number)
    played: list[dict[str, Any]] = directory.read_rounds()
    return Arrivals(
        np.sort(np.fromiter(first.values(), np.int64)),
        np.array(released, np.int64),
        max([len(played), *released]),
        config.engine.checkpoint_every_rounds,
        tuple(numbered(directory.checkpoints)),
    )


def arrivals_of_dry_run(config: RunConfig) -> Arrivals:
    """From rounds in which nobody trains, as many as the settings ask for.

    Args:
        config: settings of a run.

    Raises:
        ConfigError, DataError: the settings or the files cannot be used, or the fleet fills no rounds.
    """
    with step("preparing the fleet"):
        run, cohorts = prepare_dry_run(replace(config, output_dir=None))
    first = np.zeros(run.fleet.num_phones, np.int64)
    released = []

    def look(played: DryRun) -> None:
        newest = played.rounds[-1]
        if newest.abandoned is None:
            released.append(newest.round)
            first[(played.log.counts > 0) & (first == 0)] = newest.round
            playing.advance()
        elif newest.round - (released[-1] if released else 0) >= config.cohort.max_abandoned_in_a_row:  # as in a run
            found = f"{config.cohort.max_abandoned_in_a_row} rounds abandoned in a row ({newest.abandoned})"
            raise ConfigError(expected("--cohort.goal", "a fleet that reaches it", found))

    with step("playing rounds", total=config.rounds) as playing:
        run_days(config, run, cohorts, inf, look, most_releases=config.rounds)
    took_part = np.sort(first[first > 0])
    return Arrivals(took_part, np.array(released, np.int64), len(run.rounds), config.engine.checkpoint_every_rounds)
