"""Measure what a person's own words add to a model's suggestions; see simulation/commands/measure_additions.py."""

import sys

import simulation.early_signals  # noqa: F401  before anything else
from simulation.commands.measure_additions import main
from simulation.flags import run_door

if __name__ == "__main__":
    sys.exit(run_door(lambda: main(sys.argv[1:])))
