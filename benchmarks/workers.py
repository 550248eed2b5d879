"""What more workers cost the driver: python -m benchmarks.workers

Workers that only wait are threads in Flower's own engine, so that any number of them fits on any machine; everything
else is as in a run. All messages of some rounds are sent and answered. What the process took of the processor meanwhile
is counted as the driver's; the little that waiting workers take of it, to make answers of messages, is in it. Prints a
line for each number of workers.
"""

import statistics
import sys
import time
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Annotated

import annotated_types as at
import numpy as np
from flwr.app import ArrayRecord, Message, RecordDict
from flwr.serverapp import Grid

from benchmarks.measure import BenchmarkError
from benchmarks.waiting_workers import pool_of_flower, waiting_workers
from simulation.engine.exchange import exchange
from simulation.flags import parse_with_tyro, run_door
from simulation.tables import console_for, print_table
from typefleet.errors import expected

_TIMEOUT_S = 3600.0


@dataclass(frozen=True)
class WorkersFlags:
    """Measure what more workers cost the driver."""

    workers: Annotated[tuple[int, ...], at.Ge(1)] = (16, 64, 256)
    """How many there are, one measurement for each."""
    hosts_per_worker: Annotated[int, at.Ge(1)] = 1
    """Flower nodes of a worker."""
    messages_per_host: Annotated[int, at.Ge(1)] = 1
    """Messages of a node in a round."""
    round_s: Annotated[float, at.Gt(0)] = 8.0
    """Seconds that a worker works in a round, shared out among its messages."""
    rounds: Annotated[int, at.Ge(1)] = 3
    """Rounds of each measurement."""
    weights: Annotated[int, at.Ge(0)] = 0
    """Numbers of four bytes in a message and in its answer, such as 1400000."""
    as_flower_has_it: bool = False
    """Let Flower keep as many messages under way as it would by itself."""


@dataclass(frozen=True)
class Cost:
    """Of one number of workers."""

    workers: int
    messages: int  # of a round
    busy_share: float  # of the workers' time
    driver_s_per_message: float  # processor time, median of the rounds
    driver_share: float  # of one core


def measure(flags: WorkersFlags, workers: int) -> Cost:
    """Play the rounds with so many workers."""
    messages = workers * flags.hosts_per_worker * flags.messages_per_host
    seconds = flags.round_s * workers / messages
    arrays = ArrayRecord([np.zeros(flags.weights, np.float32)])
    cpu, wall = [], []
    pool = pool_of_flower() if flags.as_flower_has_it else nullcontext()
    with pool, waiting_workers(workers, flags.hosts_per_worker, seconds) as grid:
        for _ in range(flags.rounds):
            began, cpu_began = time.perf_counter(), time.process_time()
            answered = _round(grid, arrays, flags.messages_per_host)
            wall.append(time.perf_counter() - began)
            cpu.append(time.process_time() - cpu_began)
            if answered != messages:
                raise BenchmarkError(expected("the workers", f"{messages} answers", answered))
    return Cost(
        workers,
        messages,
        busy_share=messages * seconds / workers / statistics.median(wall),
        driver_s_per_message=statistics.median(cpu) / messages,
        driver_share=statistics.median(c / w for c, w in zip(cpu, wall, strict=True)),
    )


def _round(grid: Grid, arrays: ArrayRecord, messages_per_host: int) -> int:
    """So many messages for each node; returns how many were answered."""
    nodes = list(grid.get_node_ids()) * messages_per_host
    asked = [Message(RecordDict({"weights": arrays}), node, "train") for node in nodes]
    return sum(1 for _ in exchange(grid, asked, _TIMEOUT_S))


def main(argv: Sequence[str]) -> None:
    """Measure each number of workers, and print a table."""
    flags = parse_with_tyro(WorkersFlags, argv)
    found = [measure(flags, workers) for workers in flags.workers]
    rows = [
        [
            str(cost.workers),
            str(flags.hosts_per_worker),
            str(cost.messages),
            f"{flags.round_s * cost.workers / cost.messages:g}",
            f"{cost.busy_share:.0%}",
            f"{cost.driver_s_per_message * 1e3:.1f}",
            f"{cost.driver_share:.0%}",
        ]
        for cost in found
    ]
    headings = (
        "workers",
        "nodes\nof each",
        "messages\na round",
        "seconds of\na message",
        "workers\nbusy",
        "driver, ms\nper message",
        "driver, of\none core",
    )
    print_table(console_for(sys.stdout), headings, rows)


if __name__ == "__main__":
    sys.exit(run_door(lambda: main(sys.argv[1:])))
