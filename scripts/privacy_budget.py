"""Plan a private run without training: give what you know, get the rest; see simulation/commands/privacy_budget.py."""

import sys

import simulation.early_signals  # noqa: F401  before anything else
from simulation.commands.privacy_budget import main
from simulation.flags import run_door

if __name__ == "__main__":
    sys.exit(run_door(lambda: main(sys.argv[1:])))
