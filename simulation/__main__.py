"""`python -m simulation`: what `scripts/simulate.py` does, wherever the packages are installed."""

import sys

from client_model.quiet import import_tensorflow_quietly
from client_model.text.population import DataError
from client_model.text.vocabulary import VocabularyError
from simulation.flags import parse_simulate, run_door, to_toml
from simulation.run.preparation import prepare
from typefleet.errors import ConfigError

INTERRUPTED = 130


def simulate_door() -> int:
    """Parse the flags, run, and turn errors of the input into one line; returns the exit code."""
    return run_door(_simulate, (ConfigError, DataError, VocabularyError))


def _simulate() -> int:
    flags = parse_simulate(sys.argv[1:])
    if flags.print_config:
        print(to_toml(flags.run), end="")
        return 0
    resume = flags.resume is not None
    print("preparing text, vocabulary and fleet", flush=True)
    prepared = prepare(flags.run, resume)
    # The rest needs TensorFlow and Ray, which take seconds to import: not for --help or a typo.
    import_tensorflow_quietly()
    from client_model.learning.local_training import limit_threads
    from client_model.tflite.export_checks import ExportError
    from server_strategy.privacy.ledger import LedgerError
    from simulation.engine.flower_on_ray import EngineError
    from simulation.run.checkpoint import CheckpointError
    from simulation.runner import run_to_the_end

    limit_threads(1)  # central training gives the same bits on any number of cores
    machine_errors = (EngineError, ExportError, OSError)

    def run() -> int:
        return 0 if run_to_the_end(prepared, resume).finished else INTERRUPTED

    return run_door(run, (ConfigError, LedgerError, CheckpointError, *machine_errors))


if __name__ == "__main__":
    sys.exit(simulate_door())
