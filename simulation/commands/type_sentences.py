"""Type everyday sentences on an exported keyboard: python scripts/type_sentences.py RUN_DIR

Prints the three suggestions before each word, and how often the word was among them. Your own sentences are typed with
--sentences "see you soon" "on my way", or with --file sentences.txt, which has one a line. With --additions the
suggestions are those that an app would show.
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from simulation.commands.run_folder import OfExportedRun
from simulation.flags import parse_with_tyro


@dataclass(frozen=True)
class Flags(OfExportedRun):
    """Type everyday sentences on an exported keyboard."""

    sentences: tuple[str, ...] = ()
    """To type instead of the built-in twelve: --sentences "see you soon" "on my way"."""
    file: Path | None = None
    """Text file (UTF-8) to type instead, one sentence a line: --file sentences.txt."""
    additions: bool = False
    """Suggest as an app would show it, and not what the file says by itself: with capitals, no word repeated, none of
    the blocked words, and with the words of the sentences typed before."""


def main(argv: Sequence[str]) -> None:
    """Open the keyboard and type."""
    flags = parse_with_tyro(Flags, argv)
    from simulation.device.everyday_sentences import chosen_sentences, type_sentences
    from simulation.device.keyboard import Keyboard
    from simulation.run.forgotten import note_pending

    sentences = chosen_sentences(flags.sentences, flags.file)
    note_pending(sys.stderr, flags.run_dir)
    type_sentences(sys.stdout, Keyboard(flags.run_dir, flags.additions), sentences)
