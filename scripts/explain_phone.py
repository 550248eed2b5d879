"""Tell the owner of a phone what left it; see simulation/commands/explain_phone.py."""

import sys

import simulation.early_signals  # noqa: F401  before anything else
from simulation.commands.explain_phone import main
from simulation.flags import run_door

if __name__ == "__main__":
    sys.exit(run_door(lambda: main(sys.argv[1:])))
