"""Show what it costs that the server sees no single update; see simulation/commands/price_aggregation.py."""

import sys

import simulation.early_signals  # noqa: F401  before anything else
from simulation.commands.price_aggregation import main
from simulation.flags import run_door

if __name__ == "__main__":
    sys.exit(run_door(lambda: main(sys.argv[1:])))
