"""`python -m simulation`: what `scripts/simulate.py` does, wherever the packages are installed."""

import sys

from client_model.quiet import import_tensorflow_quietly
from simulation.flags import INTERRUPTED, parse_simulate, run_door, to_toml
from simulation.run.preparation import prepare


def simulate_door() -> int:
    """Parse the flags and run; errors become one line. Returns the exit code."""
    return run_door(_simulate)


def _simulate() -> int:
    flags = parse_simulate(sys.argv[1:])
    if flags.print_config:
        print(to_toml(flags.run), end="")
        return 0
    resume = flags.resume is not None
    print("preparing text, vocabulary and fleet", flush=True)
    prepared = prepare(flags.run, resume)
    # The rest needs TensorFlow and Ray, which take seconds to import: not for --help or a typo.
    import_tensorflow_quietly()
    from client_model.learning.local_training import limit_threads
    from simulation.runner import run_to_the_end

    limit_threads(1)  # central training gives the same bits on any number of cores
    return 0 if run_to_the_end(prepared, resume).finished else INTERRUPTED


if __name__ == "__main__":
    sys.exit(simulate_door())
