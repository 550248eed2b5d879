"""`python -m typefleet`: what the command `typefleet` does."""

import sys

from simulation.commands.entry import main

if __name__ == "__main__":
    sys.exit(main())
