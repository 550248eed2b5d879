"""Wrap the keys of runs by another storage key; see simulation/commands/rotate_key.py."""

import sys

import simulation.early_signals  # noqa: F401  before anything else
from simulation.commands.rotate_key import main
from simulation.flags import run_door

if __name__ == "__main__":
    sys.exit(run_door(lambda: main(sys.argv[1:])))
