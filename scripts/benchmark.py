"""Measure the simulator against the machine's limit and against the textbook way, in one run.

python scripts/benchmark.py --quick        under 5 minutes
python scripts/benchmark.py                under 25 minutes; also 50 rounds, 5,000 phones, 10 million phones
"""

import argparse
import json
import sys
import tempfile
from pathlib import Path

from rich.console import Console

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # benchmarks/ is not part of the installation

from simulation.files import write_text_atomically
from simulation.flags import run_door


def main() -> int:
    """Parse, measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="fewer phones and rounds, no memory runs")
    parser.add_argument("--output", type=Path, default=Path("benchmark.json"), help="file for all that was measured")
    arguments = parser.parse_args()
    try:
        from benchmarks.measure import BenchmarkError
        from benchmarks.report import print_table
        from benchmarks.run import Benchmark
    except ModuleNotFoundError as error:
        print(f"error: expected the packages of .[test], found no {error.name}", file=sys.stderr)
        return 2

    def measure() -> int:
        console = Console(highlight=False, width=None if sys.stdout.isatty() else 120)
        with tempfile.TemporaryDirectory(prefix="typefleet-benchmark-") as folder:
            found = Benchmark(Path(folder), arguments.quick, console.print).run()
        write_text_atomically(arguments.output, json.dumps(found, indent=2) + "\n")
        print_table(console, found)
        console.print(f"all of it: {arguments.output}")
        return 0

    return run_door(measure, (BenchmarkError, OSError))


if __name__ == "__main__":
    sys.exit(main())
