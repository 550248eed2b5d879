"""Attack a run, or settings, and hold what comes of it to what is claimed; see simulation/commands/audit.py."""

import sys

import simulation.early_signals  # noqa: F401  before anything else
from simulation.commands.audit import main
from simulation.flags import run_door

if __name__ == "__main__":
    sys.exit(run_door(lambda: main(sys.argv[1:])))
