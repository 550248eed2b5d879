"""Delete what has been kept for long enough; see simulation/commands/retain.py."""

import sys

import simulation.early_signals  # noqa: F401  before anything else
from simulation.commands.retain import main
from simulation.flags import run_door

if __name__ == "__main__":
    sys.exit(run_door(lambda: main(sys.argv[1:])))
