"""Export a run's model for phones: python scripts/export_model.py RUN_DIR

Writes four files into model/: keyboard.tflite (int8), keyboard_fp16.tflite, keyboard_fp32.tflite and
keyboard_train.tflite, which can learn on the phone; each is checked against the trained weights on held-out
text first.
"""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from client_model.client_data import DataError
from client_model.quiet import import_tensorflow_quietly
from client_model.vocabulary import VocabularyError
from simulation.config import ConfigError
from simulation.flags import parse_with_tyro, run_door


@dataclass(frozen=True)
class ExportFlags:
    """Export a run's model for phones."""

    run_dir: Annotated[Path, tyro.conf.Positional]
    """Folder of a finished run."""


def main() -> int:
    """Export and print one line a file."""
    flags = parse_with_tyro(ExportFlags, sys.argv[1:])
    import_tensorflow_quietly()
    from client_model.export_checks import ExportError
    from simulation.export import export_folder

    def export() -> None:
        for file in export_folder(flags.run_dir):
            print(
                f"{file.path}  {file.size_bytes:,} bytes  top-1 agreement {file.top1_agreement:.2%} "
                f"of {file.positions:,} positions ({file.kind})"
            )

    return run_door(export, (ConfigError, DataError, VocabularyError, ExportError))


if __name__ == "__main__":
    sys.exit(run_door(main, (ConfigError,)))
