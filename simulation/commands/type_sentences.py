"""Type everyday sentences on an exported keyboard: python scripts/type_sentences.py RUN_DIR

Prints the three suggestions before each word, and how often the word was among them.
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass

from simulation.commands.run_folder import OfExportedRun
from simulation.flags import parse_with_tyro


@dataclass(frozen=True)
class Flags(OfExportedRun):
    """Type everyday sentences on an exported keyboard."""

    sentences: tuple[str, ...] = ()
    """To type instead of the built-in twelve."""


def main(argv: Sequence[str]) -> None:
    """Open the keyboard and type."""
    flags = parse_with_tyro(Flags, argv)
    from simulation.device.everyday_sentences import SENTENCES, type_sentences
    from simulation.device.keyboard import Keyboard

    type_sentences(sys.stdout, Keyboard(flags.run_dir), flags.sentences or SENTENCES)
