"""Measure the simulator against the machine's limit and against the textbook way, in one run.

python scripts/benchmark.py --quick        under 5 minutes
python scripts/benchmark.py                under 25 minutes; also 50 rounds, 5,000 phones, 10 million phones
"""

import json
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # benchmarks/ is not part of the installation

import simulation.early_signals  # noqa: F401  before anything else of ours
from simulation.files import write_text_atomically
from simulation.flags import parse_with_tyro, run_door
from typefleet.errors import MachineError, expected


@dataclass(frozen=True)
class BenchmarkFlags:
    """Measure the simulator against the machine's limit and against the textbook way."""

    quick: bool = False
    """Fewer phones and rounds, no memory runs."""
    smoke: bool = False
    """Every measurement, so small that it only shows that it works: its figures mean nothing."""
    output: Path = Path("benchmark.json")
    """File for all that was measured."""


def main(flags: BenchmarkFlags) -> None:
    """Measure everything, print the table and write all figures to a file."""
    try:
        from benchmarks.report import print_table
        from benchmarks.run import FULL, QUICK, SMOKE, Benchmark
    except ModuleNotFoundError as error:
        raise MachineError(expected("benchmark.py", "the packages of .[test]", f"no {error.name}")) from error
    console = Console(highlight=False, width=None if sys.stdout.isatty() else 120)
    with tempfile.TemporaryDirectory(prefix="typefleet-benchmark-") as folder:
        sizes = SMOKE if flags.smoke else QUICK if flags.quick else FULL
        found = Benchmark(Path(folder), sizes, console.print).run()
    write_text_atomically(flags.output, json.dumps(found, indent=2) + "\n")
    print_table(console, found)
    console.print(f"all of it: {flags.output}")


if __name__ == "__main__":
    sys.exit(run_door(lambda: main(parse_with_tyro(BenchmarkFlags, sys.argv[1:]))))
