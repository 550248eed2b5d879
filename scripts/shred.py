"""Erase the key of an encrypted run; see simulation/commands/shred.py."""

import sys

import simulation.early_signals  # noqa: F401  before anything else
from simulation.commands.shred import main
from simulation.flags import run_door

if __name__ == "__main__":
    sys.exit(run_door(lambda: main(sys.argv[1:])))
