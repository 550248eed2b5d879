"""Fit the built-in model of availability to a trace; see simulation/commands/fit_fleet.py."""

import sys

import simulation.early_signals  # noqa: F401  before anything else
from simulation.commands.fit_fleet import main
from simulation.flags import run_door

if __name__ == "__main__":
    sys.exit(run_door(lambda: main(sys.argv[1:])))
