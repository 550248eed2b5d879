"""Simulate a fleet of phones that learn a keyboard model together.

python scripts/simulate.py                      the default, a few minutes on two cores
python scripts/simulate.py --config configs/sms.toml --data.path messages.jsonl
python scripts/simulate.py --resume runs/...    go on with a run that was stopped
"""

import sys

from client_model.client_data import DataError
from client_model.quiet import import_tensorflow_quietly
from client_model.vocabulary import VocabularyError
from simulation.config import ConfigError
from simulation.flags import parse_simulate, run_door, to_toml


def main() -> int:
    """Parse, run, and turn errors of the input into one line."""
    flags = parse_simulate(sys.argv[1:])
    if flags.print_config:
        print(to_toml(flags.run), end="")
        return 0
    # The rest needs TensorFlow and Ray, which take seconds to import: not for --help or a typo.
    import_tensorflow_quietly()
    from client_model.export_tflite import ExportError
    from server_strategy.privacy_ledger import LedgerError
    from simulation.checkpoint import CheckpointError
    from simulation.engine import EngineError
    from simulation.runner import simulate

    return run_door(
        lambda: simulate(flags.run, flags.resume is not None),
        (ConfigError, DataError, VocabularyError, LedgerError, CheckpointError, EngineError, ExportError),
    )


if __name__ == "__main__":
    sys.exit(run_door(main, (ConfigError, DataError, VocabularyError)))
