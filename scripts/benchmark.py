"""Measure the simulator against the machine's limit and against the textbook way, in one run.

python scripts/benchmark.py --quick                   some six minutes
python scripts/benchmark.py                           half an hour; also 50 rounds, 5,000 phones, 10 million phones
python scripts/benchmark.py --compare before.json     beside the figures of an earlier one
"""

import sys
import tempfile
from pathlib import Path

from rich.console import Console

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # benchmarks/ is not part of the installation

import simulation.early_signals  # noqa: F401  before anything else of ours
from benchmarks.flags import BenchmarkFlags, check_flags
from simulation.flags import parse_with_tyro, run_door
from typefleet.errors import MachineError, expected


def main(flags: BenchmarkFlags) -> None:
    """Measure everything, print the table and write all figures to a file."""
    check_flags(flags)
    try:
        from benchmarks.earlier import read_benchmark
        from benchmarks.measure import require_own_kernel
        from benchmarks.results import show, write
        from benchmarks.run import FULL, QUICK, SMOKE, Benchmark
    except ModuleNotFoundError as error:
        raise MachineError(
            expected("benchmark.py", "the packages of requirements/test.txt", f"no {error.name}")
        ) from error
    console = Console(highlight=False, width=None if sys.stdout.isatty() else 130)  # of the widest line
    earlier = None if flags.compare is None else read_benchmark(flags.compare)  # refused before minutes of measuring
    if flags.measured is not None:
        show(console, read_benchmark(flags.measured), earlier)
        return
    require_own_kernel()
    with tempfile.TemporaryDirectory(prefix="typefleet-benchmark-") as folder:
        sizes = SMOKE if flags.smoke else QUICK if flags.quick else FULL
        found = Benchmark(Path(folder), sizes, console.print).run()
    write(flags.results, found)
    show(console, read_benchmark(flags.results), earlier, found)
    console.print(f"all of it: {flags.results}")


if __name__ == "__main__":
    sys.exit(run_door(lambda: main(parse_with_tyro(BenchmarkFlags, sys.argv[1:]))))
