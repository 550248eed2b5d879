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
from simulation.preparation import prepare


def main() -> int:
    """Parse, run, and turn errors of the input into one line."""
    flags = parse_simulate(sys.argv[1:])
    if flags.print_config:
        print(to_toml(flags.run), end="")
        return 0
    resume = flags.resume is not None
    print("preparing text, vocabulary and fleet", flush=True)
    prepared = prepare(flags.run, resume)
    # The rest needs TensorFlow and Ray, which take seconds to import: not for --help or a typo.
    import_tensorflow_quietly()
    from client_model.export_checks import ExportError
    from client_model.local_training import limit_threads
    from server_strategy.privacy_ledger import LedgerError
    from simulation.checkpoint import CheckpointError
    from simulation.engine import EngineError
    from simulation.runner import simulate

    limit_threads(1)  # central training gives the same bits on any number of cores
    machine_errors = (EngineError, ExportError, OSError)
    return run_door(lambda: simulate(prepared, resume), (ConfigError, LedgerError, CheckpointError, *machine_errors))


if __name__ == "__main__":
    sys.exit(run_door(main, (ConfigError, DataError, VocabularyError)))
