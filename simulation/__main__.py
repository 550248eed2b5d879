"""`python -m simulation`: what `scripts/simulate.py` does, wherever the packages are installed."""

import sys

from simulation.flags import INTERRUPTED, parse_simulate, run_door, to_toml


def simulate_door() -> int:
    """Parse the flags and run; errors become one line. Returns the exit code."""
    return run_door(_simulate)


def _simulate() -> int:
    flags = parse_simulate(sys.argv[1:])
    if flags.print_config:
        print(to_toml(flags.run), end="")
        return 0
    from simulation.parts import Parts
    from simulation.start import start  # not for --help or a typo

    run = start(flags.run, Parts(), sys.stdout, resume=flags.resume is not None)
    return 0 if run.finished else INTERRUPTED


if __name__ == "__main__":
    sys.exit(simulate_door())
