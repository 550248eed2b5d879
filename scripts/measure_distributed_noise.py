"""Measure what it costs that phones add the noise themselves; see simulation/commands/measure_distributed_noise.py."""

import sys

import simulation.early_signals  # noqa: F401  before anything else
from simulation.commands.measure_distributed_noise import main
from simulation.flags import run_door

if __name__ == "__main__":
    sys.exit(run_door(lambda: main(sys.argv[1:])))
