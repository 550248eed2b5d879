"""Play weeks of rounds of a fleet without training; see simulation/commands/fleet_dry_run.py."""

import sys

import simulation.early_signals  # noqa: F401  before anything else
from simulation.commands.fleet_dry_run import main
from simulation.flags import run_door

if __name__ == "__main__":
    sys.exit(run_door(lambda: main(sys.argv[1:])))
