"""`python -m simulation`: what `scripts/simulate.py` does, wherever the packages are installed."""

import sys

from simulation.commands.simulate import main
from simulation.flags import run_door

if __name__ == "__main__":
    sys.exit(run_door(lambda: main(sys.argv[1:])))
