"""Look at a text before anything is trained on it; see simulation/commands/audit_data.py."""

import sys

import simulation.early_signals  # noqa: F401  before anything else
from simulation.commands.audit_data import main
from simulation.flags import run_door

if __name__ == "__main__":
    sys.exit(run_door(lambda: main(sys.argv[1:])))
