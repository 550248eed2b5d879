"""Show and check the audit trail of a run; see simulation/commands/check_trail.py."""

import sys

import simulation.early_signals  # noqa: F401  before anything else
from simulation.commands.check_trail import main
from simulation.flags import run_door

if __name__ == "__main__":
    sys.exit(run_door(lambda: main(sys.argv[1:])))
