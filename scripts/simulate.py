"""Simulate a fleet of phones that learn a keyboard model together.

python scripts/simulate.py                      the default, a few minutes on two cores
python scripts/simulate.py --config configs/sms.toml --data.path messages.jsonl
python scripts/simulate.py --resume runs/...    go on with a run that was stopped
"""

import sys

from simulation.__main__ import simulate_door

if __name__ == "__main__":
    sys.exit(simulate_door())
