"""Rounds of one fleet with and without secure aggregation, over size of the cohort, neighbours, threshold and latency.

A cell is a dry run of the same phones, each from the first day on: a plain one for each size of the cohort; one in
which each phone sends one message that is larger or takes longer to make, if that is asked for; and one with the steps
of secure aggregation for each graph and latency. Graphs that do not withstand what is assumed are not played, and say
so. Beside what the simulated world gives, the cryptography of one phone is carried out and timed here.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np

from client_model.metrics.intervals import Interval, over_seeds
from server_strategy.aggregation.graph import GraphSize
from server_strategy.aggregation.measuring import phone_seconds
from server_strategy.aggregation.vector import TAIL, ring_for
from simulation.clock import DAY_S
from simulation.config import RunConfig, check
from simulation.studies.dry_run import DryRun, model_bytes, prepare_fleet, rounds_of, run_days
from simulation.studies.dry_run_seeds import seeded
from simulation.studies.dry_run_settings import NO_PROTECTION, Grid, Protection
from simulation.world.aggregation_settings import assumptions_of, full_graph
from simulation.world.aggregation_steps import SteppedFunnel
from typefleet.errors import ConfigError
from typefleet.steps import each, step

Scheme = Literal["plain", "one message", "secagg"]
FIGURES = (
    *("completed_share", "rounds_per_day", "round_s", "steps_s", "left_share"),
    *("upload_mb", "download_mb", "cryptography_s"),
)
"""Of a cell: share of rounds that completed; completed rounds per simulated day; median simulated seconds from the
invitation to the end of a completed round, and of its steps; share of the phones that had trained in time and then left
before their vectors were in the sum; megabytes of a phone that takes part, of the model and all messages; processor
seconds of its cryptography, measured here."""
_USUAL_LATENCY_S = 5.0
_MEGA = 1e6


@dataclass(frozen=True, kw_only=True)
class Cell:
    """A way to add the updates of a cohort up.

    Attributes:
        scheme: plain, one message, or secagg.
        config: of the dry run; seed and fleet are of the first.
        protection: what a phone's one message costs beyond its update.
        size: of the graph of a round that reaches its goal; None where there is none.
        threshold_is_least: no smaller one is safe with so many neighbours.
        why: it is not played; empty if it is.
    """

    scheme: Scheme
    config: RunConfig
    protection: Protection = NO_PROTECTION
    size: GraphSize | None = None
    threshold_is_least: bool = True
    why: str = ""

    @property
    def phones(self) -> int:
        """Size of the cohort."""
        return self.config.cohort.goal

    @property
    def latency_s(self) -> float | None:
        """Of each step; None without steps."""
        return self.config.aggregation.step_latency_s if self.scheme == "secagg" else None


@dataclass
class Row:
    """What became of the rounds of a cell, a value per seed; None where a fleet has none."""

    cell: Cell
    figures: dict[str, list[float | None]] = field(default_factory=lambda: {name: [] for name in FIGURES})
    rounds: int = 0  # of all seeds
    abandoned: Counter[str] = field(default_factory=Counter)  # of those, by cause

    def over_seeds(self, name: str) -> Interval | None:
        """A figure with its interval; None where a seed has no value."""
        known = [value for value in self.figures[name] if value is not None]
        return over_seeds(known) if known and len(known) == len(self.figures[name]) else None


def cells_of(config: RunConfig, grid: Grid, protection: Protection) -> list[Cell]:
    """All cells, cohort by cohort; each graph once.

    Args:
        config: of the dry runs but for what the grid varies.
        grid: what is varied.
        protection: of phones that send one message; without any there is no such cell.

    Raises:
        ConfigError: the settings do not go together.
    """
    found = []
    for goal in grid.cohorts or (config.cohort.goal,):
        alone = replace(config.aggregation, protocol="none", step_latency_s=None)
        of_size = replace(config, cohort=replace(config.cohort, goal=goal), aggregation=alone)
        found.append(Cell(scheme="plain", config=of_size))
        if protection != NO_PROTECTION:
            found.append(Cell(scheme="one message", config=of_size, protection=protection))
        usual_s = config.aggregation.step_latency_s
        for latency_s in grid.step_latencies_s or (_USUAL_LATENCY_S if usual_s is None else usual_s,):
            summed = replace(config.aggregation, protocol="arithmetic", step_latency_s=latency_s)
            found += _each_once(_graphs(replace(of_size, aggregation=summed), grid))
    for cell in found:
        check(cell.config)
    return found


def _graphs(config: RunConfig, grid: Grid) -> Iterator[Cell]:
    """The cells of one cohort and latency."""
    for neighbours in grid.neighbours or (config.aggregation.neighbours,):
        number = config.cohort.goal - 1 if neighbours == "all" else None if neighbours == "fewest" else neighbours
        fewest = replace(config, aggregation=replace(config.aggregation, neighbours=number, threshold=None))
        least = _graph(fewest)
        for wanted in grid.thresholds or (config.aggregation.threshold,):
            if isinstance(least, str):
                yield Cell(scheme="secagg", config=fewest, why=least)
                break
            graph = replace(fewest.aggregation, threshold=_threshold(wanted, least))
            if isinstance(wanted, float):  # else the fewest neighbours follow the phones that a round still has
                graph = replace(graph, neighbours=least.neighbours)
            size = _graph(one := replace(fewest, aggregation=graph))
            if isinstance(size, str):
                yield Cell(scheme="secagg", config=one, why=size)
            else:
                is_least = size.threshold == least.threshold
                yield Cell(scheme="secagg", config=one, size=size, threshold_is_least=is_least)


def _threshold(wanted: float | str | None, size: GraphSize) -> int | None:
    """Shares of so many neighbours; a whole number is one already."""
    if isinstance(wanted, float):
        return max(int(np.ceil(wanted * size.neighbours)), 2)
    return None if isinstance(wanted, str) else wanted


def _graph(config: RunConfig) -> GraphSize | str:
    """Of a round that reaches its goal, or why there is none."""
    try:
        return full_graph(config.aggregation, config.cohort)
    except ConfigError as error:
        return str(error)


def _each_once(cells: Iterator[Cell]) -> list[Cell]:
    return list({cell.size or cell.why: cell for cell in reversed(list(cells))}.values())[::-1]


def play_grid(cells: Sequence[Cell], days: float, seeds: int) -> list[Row]:
    """Play every cell; the fleet of a seed is made once for all of them.

    Args:
        cells: by `cells_of`.
        days: simulated ones, of each cell.
        seeds: fleets, each with a seed of its own, from that of the settings on.

    Raises:
        ConfigError, DataError: the settings or the files that they name cannot be used.
    """
    rows = [Row(cell) for cell in cells]
    seconds = _cryptography(cells)
    played = [row for row in rows if not row.cell.why]
    for number, first in enumerate(seeded(cells[0].config, seeds)):
        name = f", seed {first.seed}" if seeds > 1 else ""
        with step(f"preparing the fleet{name}"):
            fleet = prepare_fleet(first)
        with step(f"playing {len(played)} cells{name}", len(played) * days) as playing:
            for place, row in enumerate(played):
                config = seeded(row.cell.config, seeds)[number]
                run, cohorts = rounds_of(config, fleet, row.cell.protection)
                said = f"{row.cell.phones:,} phones, {row.cell.scheme}"

                def tick(now: DryRun, begun: float = place * days, said: str = said) -> None:
                    playing.reached(begun + min(now.simulated_s / DAY_S, days), said)

                run_days(config, run, cohorts, days, tick)
                _count(row, run, seconds.get(row.cell.size) if row.cell.size else None)
                playing.reached((place + 1) * days)
    return rows


def _cryptography(cells: Sequence[Cell]) -> Mapping[GraphSize, float]:
    """Processor seconds of a phone in one thread here, by graph: all its steps, with the messages of all neighbours."""
    graphs = {cell.size: cell for cell in cells if cell.size is not None}
    found = {}
    for size, cell in each("timing the cryptography of a phone", graphs.items(), len(graphs)):
        aggregation, cohort = cell.config.aggregation, cell.config.cohort
        length = model_bytes(cell.config) // 4 + TAIL
        terms = (size.phones, length, ring_for(size.phones), assumptions_of(aggregation, cohort))
        found[size] = phone_seconds(*terms)
    return found


def _count(row: Row, run: DryRun, cryptography_s: float | None) -> None:
    """Add the figures of one fleet to a row."""
    done = [one.funnel for one in run.rounds if one.abandoned is None]
    up_mb, down_mb = _megabytes(row.cell, run)
    found: dict[str, float | None] = {
        "completed_share": len(done) / len(run.rounds) if run.rounds else None,
        "rounds_per_day": len(done) / (run.simulated_s / DAY_S) if run.simulated_s else None,
        "round_s": _median([one.closed_s - one.opened_s for one in done]),
        "steps_s": _median([one.aggregation_s for one in _stepped(run)]),
        "left_share": _left_share(run),
        "upload_mb": up_mb,
        "download_mb": down_mb,
        "cryptography_s": cryptography_s,
    }
    for name in FIGURES:
        row.figures[name].append(found[name])
    row.rounds += len(run.rounds)
    for one in run.rounds:
        if one.abandoned is not None:
            cause = one.funnel.aggregation_failed if isinstance(one.funnel, SteppedFunnel) else None
            row.abandoned[cause or "too_few_reports"] += 1


def _stepped(run: DryRun) -> list[SteppedFunnel]:
    return [one.funnel for one in run.rounds if isinstance(one.funnel, SteppedFunnel)]


def _left_share(run: DryRun) -> float | None:
    group = sum(one.group for one in _stepped(run))
    left = sum(one.left_advertise + one.left_share + one.left_mask for one in _stepped(run))
    return left / group if group else None


def _megabytes(cell: Cell, run: DryRun) -> tuple[float | None, float | None]:
    """(up, down) of a phone that takes part from the first message to the last, the model included."""
    model_mb = model_bytes(cell.config) / _MEGA
    if cell.scheme != "secagg":
        return model_mb + cell.protection.upload_mb, model_mb + cell.protection.download_mb
    whole = [one for one in _stepped(run) if one.phone_up_bytes]  # there was a graph
    if not whole:
        return None, None
    up, down = (np.median([getattr(one, f"phone_{way}_bytes") for one in whole]) / _MEGA for way in ("up", "down"))
    return float(up), model_mb + float(down)


def _median(values: Sequence[float]) -> float | None:
    return float(np.median(values)) if values else None
