"""Recompute a run's epsilon, and hold its privacy statement to it; see simulation/commands/check_privacy.py."""

import sys

import simulation.early_signals  # noqa: F401  before anything else
from simulation.commands.check_privacy import main
from simulation.flags import run_door

if __name__ == "__main__":
    sys.exit(run_door(lambda: main(sys.argv[1:])))
