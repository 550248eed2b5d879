"""What grows with the rounds of a run that lasts: python -m benchmarks.long_life

Plays 10,000 rounds of a tiny model on Ray and Flower, looks at all its processes and files as it goes, and prints how
much more there is of each thing per 1,000 rounds. Then 24 simulated months of a fleet without training, in this
process. Takes an hour or so; `--rounds` and `--days` make it shorter. What is not meant to grow should not.
"""

import json
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated

import annotated_types as at
import psutil
from rich.console import Console

from benchmarks.measure import ROOT, BenchmarkError
from client_model.metrics.intervals import Interval, over_seeds
from simulation.clock import DAY_S
from simulation.flags import parse_simulate, parse_with_tyro, run_door
from simulation.tables import console_for, print_table
from typefleet.errors import expected

# So small that nearly all of a round is what every round does, whatever its size.
TINY = (
    *("--data.format", "synthetic", "--fleet.size", "1000", "--cohort.goal", "4", "--training.max-tokens", "400"),
    *("--model.vocabulary-size", "200", "--model.embedding-size", "8", "--model.units", "8"),
    *("--evaluation.max-phones", "10", "--engine.workers", "1"),
)
_LEFT_OUT = 0.2  # of the rounds, at the beginning: libraries are loaded and buffers filled
_BLOCKS = 10
_MONTH_DAYS = 30
_LABELS = {"rss_bytes": "memory, MB", "disk_bytes": "disk, MB", "cpu_s": "processor, s"}
_UNTOLD_BYTES = 1000  # more or less of a file, of which nothing is said; drafts are left out too
_OF_PROCESSES = ("rss_bytes", "open_files", "threads", "processes", "cpu_s")


@dataclass(frozen=True)
class LongLifeFlags:
    """Play a long run and a long dry run, and print what grows."""

    rounds: Annotated[int, at.Ge(50)] = 10_000
    """Completed rounds of the run."""
    days: Annotated[int, at.Ge(90)] = 730
    """Simulated days of the dry run."""
    output_dir: Path = Path("runs/long-life")
    """Folder for the run, new or empty; what was seen is beside it, in a file that ends in .samples.jsonl."""
    every_s: Annotated[float, at.Gt(0)] = 5.0
    """Seconds from one look to the next."""


@dataclass(frozen=True)
class Sample:
    """What there was at one moment; by role of a process (driver, workers, ray), or by name in the run's folder."""

    seconds: float
    rounds: int
    rss_bytes: dict[str, int] = field(default_factory=dict)
    open_files: dict[str, int] = field(default_factory=dict)
    threads: dict[str, int] = field(default_factory=dict)
    processes: dict[str, int] = field(default_factory=dict)
    cpu_s: dict[str, float] = field(default_factory=dict)  # processor seconds so far
    disk_bytes: dict[str, int] = field(default_factory=dict)

    def values(self) -> dict[tuple[str, str], float]:
        """All of them, by (of what, whose)."""
        return {(of, whose): n for of in (*_OF_PROCESSES, "disk_bytes") for whose, n in getattr(self, of).items()}


def watch(folder: Path, rounds: int, every_s: float) -> list[Sample]:
    """Play a run and look at it until it ends.

    Args:
        folder: for the run.
        rounds: completed ones to play.
        every_s: seconds between two looks.

    Raises:
        BenchmarkError: the run failed.
    """
    command = [sys.executable, str(ROOT / "scripts" / "simulate.py"), *TINY]
    command += ["--rounds", str(rounds), "--output-dir", str(folder)]
    folder.parent.mkdir(parents=True, exist_ok=True)
    log, began, samples = folder.with_suffix(".log"), time.monotonic(), []
    with log.open("w") as output, folder.with_suffix(".samples.jsonl").open("w") as seen:
        process = subprocess.Popen(command, cwd=ROOT, stdout=output, stderr=subprocess.STDOUT)
        try:
            while process.poll() is None:
                samples.append(_look(psutil.Process(process.pid), folder, time.monotonic() - began))
                seen.write(json.dumps(asdict(samples[-1])) + "\n")
                seen.flush()
                time.sleep(every_s)
        finally:
            process.terminate()
            process.wait()
    if process.returncode != 0:
        raise BenchmarkError(expected(log, "the run to end well", f"exit code {process.returncode}"))
    return samples


def _look(driver: psutil.Process, folder: Path, seconds: float) -> Sample:
    lines = folder / "rounds.jsonl"
    found = Sample(seconds, lines.read_bytes().count(b"\n") if lines.exists() else 0)
    try:
        tree = [driver, *driver.children(recursive=True)]
    except psutil.NoSuchProcess:
        return found
    for process in tree:
        try:
            with process.oneshot():
                of_workers = "ClientAppActor" in " ".join(process.cmdline())
                cpu = process.cpu_times()
                numbers = (
                    *(process.memory_info().rss, process.num_fds(), process.num_threads(), 1),
                    cpu.user + cpu.system,
                )
        except psutil.Error:
            continue  # it has just ended
        role = "driver" if process == driver else "workers" if of_workers else "ray"
        for of, number in zip(_OF_PROCESSES, numbers, strict=True):
            of_role = getattr(found, of)
            of_role[role] = of_role.get(role, 0) + number
    found.disk_bytes.update((path.name, _size(path)) for path in (folder.iterdir() if folder.exists() else ()))
    return found


def _size(path: Path) -> int:
    try:
        return sum(map(_size, path.iterdir())) if path.is_dir() else path.stat().st_size
    except FileNotFoundError:
        return 0  # a draft that has just been put into its place


@dataclass(frozen=True)
class Growth:
    """Of one thing: what there was at first and at last, and how much more per 1,000 steps."""

    at_first: float
    at_last: float
    per_1000: Interval


def growth(steps: Sequence[float], values: Sequence[float]) -> Growth:
    """How much more there is per 1,000 steps, without the first fifth of them.

    The rest is cut into ten blocks. The mean of their growths is that from the first moment to the last one; the
    t-interval is over the blocks, so that what comes and goes within a few of them widens it.

    Args:
        steps: rounds done, ascending.
        values: what there was then.

    Raises:
        BenchmarkError: fewer than twice as many moments as blocks.
    """
    seen = [(step, value) for step, value in zip(steps, values, strict=True) if step >= _LEFT_OUT * steps[-1]]
    if len(seen) < 2 * _BLOCKS:
        raise BenchmarkError(expected("the run", f"to be looked at {2 * _BLOCKS} times", f"{len(seen)} times"))
    ends = [seen[round(i * (len(seen) - 1) / _BLOCKS)] for i in range(_BLOCKS + 1)]
    slopes = [1000 * (b[1] - a[1]) / (b[0] - a[0]) for a, b in zip(ends[:-1], ends[1:], strict=True) if b[0] > a[0]]
    return Growth(seen[0][1], seen[-1][1], over_seeds(slopes))


def print_growth(console: Console, samples: Sequence[Sample], rounds: int) -> None:
    """Print a row for each thing that a run has."""
    playing = [one for one in samples if 0 < one.rounds < rounds]
    names = dict.fromkeys(name for one in playing for name in one.values())
    rows = []
    for of, whose in names:
        values = [float(one.values().get((of, whose), 0)) for one in playing]
        found = growth([one.rounds for one in playing], values)
        if of == "disk_bytes" and (whose.startswith(".") or abs(found.at_last - found.at_first) < _UNTOLD_BYTES):
            continue
        rows.append(
            [whose, _LABELS.get(of, of.replace("_", " ")), *_cells(found, 1e6 if of.endswith("bytes") else 1.0)]
        )
    print_table(console, ("whose", "of what", "at a fifth", "at the end", "more per 1,000 rounds (95 %)"), rows, (0, 1))


def _cells(found: Growth, scale: float) -> list[str]:
    slope, half = found.per_1000.mean / scale, found.per_1000.half_width
    more = f"{slope:+.3f}" + ("" if half is None else f" \N{PLUS-MINUS SIGN} {half / scale:.3f}")
    return [f"{found.at_first / scale:,.3f}", f"{found.at_last / scale:,.3f}", more]


def play_months(days: int) -> tuple[list[int], list[int], list[float]]:
    """A dry run in this process: (rounds so far, resident bytes, wall seconds) at the end of each simulated month.

    Args:
        days: simulated, of 2,000 phones under the default settings.
    """
    from simulation.studies.dry_run import DryRun, prepare_dry_run, run_days

    config = parse_simulate(["--data.format", "synthetic", "--fleet.size", "2000"]).run
    rounds: list[int] = []
    rss: list[int] = []
    seconds: list[float] = []
    this, began = psutil.Process(), time.monotonic()

    def tick(run: DryRun) -> None:
        if run.simulated_s >= (len(rounds) + 1) * _MONTH_DAYS * DAY_S:
            rounds.append(len(run.rounds))
            rss.append(this.memory_info().rss)
            seconds.append(time.monotonic() - began)

    run, cohorts = prepare_dry_run(config)
    run_days(config, run, cohorts, days, tick)
    return rounds, rss, seconds


def print_months(console: Console, rounds: Sequence[int], rss: Sequence[int], seconds: Sequence[float]) -> None:
    """Print what each simulated month took, and how much more memory it left in use."""
    first = round(_LEFT_OUT * len(rounds))
    bytes_a_round = [(b - a) / (n - m) for a, b, m, n in zip(rss, rss[1:], rounds, rounds[1:], strict=False)][first:]
    months_s = [b - a for a, b in zip(seconds, seconds[1:], strict=False)][first:]
    more, took = over_seeds(bytes_a_round), over_seeds(months_s)
    console.print(
        f"dry run: {len(rounds)} months of {_MONTH_DAYS} days, {rounds[-1]:,} rounds in {seconds[-1]:,.0f} s; memory "
        f"{rss[0] / 1e6:,.0f} MB after the first month, {rss[-1] / 1e6:,.0f} MB after the last, "
        f"{more.mean:,.0f} \N{PLUS-MINUS SIGN} {more.half_width or 0:,.0f} bytes more per round, whose record is kept; "
        f"a month took {took.mean:.1f} \N{PLUS-MINUS SIGN} {took.half_width or 0:.1f} s"
    )


def main(flags: LongLifeFlags) -> None:
    """Play both, and print what grew."""
    console = console_for(sys.stdout)
    print_growth(console, watch(flags.output_dir, flags.rounds, flags.every_s), flags.rounds)
    print_months(console, *play_months(flags.days))


if __name__ == "__main__":
    sys.exit(run_door(lambda: main(parse_with_tyro(LongLifeFlags, sys.argv[1:]))))
