"""Simulate a fleet of phones that learn a keyboard model together; see simulation/commands/simulate.py."""

import sys

import simulation.early_signals  # noqa: F401  before anything else
from simulation.commands.simulate import main
from simulation.flags import run_door

if __name__ == "__main__":
    sys.exit(run_door(lambda: main(sys.argv[1:])))
