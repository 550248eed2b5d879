"""Measure the simulator against the machine's limit and against the textbook way, in one run.

python scripts/benchmark.py --quick                   some seven minutes
python scripts/benchmark.py                           half an hour; also 50 rounds, 5,000 phones, 10 million phones
python scripts/benchmark.py --compare benchmark.json  beside the figures of an earlier one
"""

import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # benchmarks/ is not part of the installation

import simulation.early_signals  # noqa: F401  before anything else of ours
from simulation.flags import parse_with_tyro, run_door
from typefleet.errors import MachineError, expected


@dataclass(frozen=True)
class BenchmarkFlags:
    """Measure the simulator against the machine's limit and against the textbook way."""

    quick: bool = False
    """Fewer phones and rounds, no memory runs."""
    smoke: bool = False
    """Each kind of measurement once, so small that it only shows that it works: its figures mean nothing."""
    output: Path = Path("benchmark.json")
    """File for all that was measured."""
    compare: Path | None = None
    """File of an earlier benchmark, whose figures are printed beside these."""
    measured: Path | None = None
    """File of a benchmark to show instead of measuring anything; nothing is written."""


def main(flags: BenchmarkFlags) -> None:
    """Measure everything, print the table and write all figures to a file."""
    try:
        from benchmarks.earlier import read_benchmark
        from benchmarks.results import show, write
        from benchmarks.run import FULL, QUICK, SMOKE, Benchmark
    except ModuleNotFoundError as error:
        raise MachineError(expected("benchmark.py", "the packages of .[test]", f"no {error.name}")) from error
    console = Console(highlight=False, width=None if sys.stdout.isatty() else 120)
    earlier = None if flags.compare is None else read_benchmark(flags.compare)  # refused before minutes of measuring
    if flags.measured is not None:
        show(console, read_benchmark(flags.measured), earlier)
        return
    with tempfile.TemporaryDirectory(prefix="typefleet-benchmark-") as folder:
        sizes = SMOKE if flags.smoke else QUICK if flags.quick else FULL
        found = Benchmark(Path(folder), sizes, console.print).run()
    write(flags.output, found)
    show(console, read_benchmark(flags.output), earlier, found)
    console.print(f"all of it: {flags.output}")


if __name__ == "__main__":
    sys.exit(run_door(lambda: main(parse_with_tyro(BenchmarkFlags, sys.argv[1:]))))
