"""Train in one place what a finished run trained on its phones; see simulation/commands/compare_central.py."""

import sys

import simulation.early_signals  # noqa: F401  before anything else
from simulation.commands.compare_central import main
from simulation.flags import run_door

if __name__ == "__main__":
    sys.exit(run_door(lambda: main(sys.argv[1:])))
