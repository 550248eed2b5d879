"""Sign a run for release; see simulation/commands/sign_off.py."""

import sys

import simulation.early_signals  # noqa: F401  before anything else
from simulation.commands.sign_off import main
from simulation.flags import run_door

if __name__ == "__main__":
    sys.exit(run_door(lambda: main(sys.argv[1:])))
