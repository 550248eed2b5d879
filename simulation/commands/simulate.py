"""Simulate a fleet of phones that learn a keyboard model together.

python scripts/simulate.py                      the default, a few minutes on two cores
python scripts/simulate.py --config configs/sms.toml --data.path messages.jsonl
python scripts/simulate.py --resume runs/...    go on with a run that was stopped
"""

import sys
from collections.abc import Sequence

from simulation import start_up
from simulation.flags import SimulateFlags as Flags
from simulation.flags import parse_simulate, to_toml
from simulation.signals import INTERRUPTED

__all__ = ["Flags", "main"]


def main(argv: Sequence[str]) -> int:
    """Parse the flags and run; 130 if the run was interrupted."""
    flags = parse_simulate(argv)
    if flags.print_config:
        print(to_toml(flags.run), end="")
        return 0
    start_up.begin_with_the_process()
    with start_up.span("import", "modules for text"):
        from simulation.parts import Parts
        from simulation.start import start  # not for --help or a typo

    run = start(flags.run, Parts(), sys.stdout, resume=flags.resume is not None)
    return 0 if run.finished else INTERRUPTED
