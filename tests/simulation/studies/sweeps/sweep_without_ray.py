"""scripts/sweep.py whose runs need no Ray: python -m tests.simulation.studies.sweeps.sweep_without_ray STUDY [flags]"""

import sys

from simulation.commands.sweep import main
from simulation.flags import run_door
from simulation.studies.sweeps import run_host

if __name__ == "__main__":
    run_host._MODULE = "tests.simulation.studies.sweeps.trial_without_ray"
    sys.exit(run_door(lambda: main(sys.argv[1:])))
