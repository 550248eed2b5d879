"""Show what all runs on an account cost; see simulation/commands/account.py."""

import sys

import simulation.early_signals  # noqa: F401  before anything else
from simulation.commands.account import main
from simulation.flags import run_door

if __name__ == "__main__":
    sys.exit(run_door(lambda: main(sys.argv[1:])))
