"""Type everyday sentences on an exported keyboard: python scripts/type_sentences.py RUN_DIR

Prints the three suggestions before each word, and how often the word was among them.
"""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from simulation.flags import parse_with_tyro, run_door


@dataclass(frozen=True)
class TypingFlags:
    """Type everyday sentences on an exported keyboard."""

    run_dir: Annotated[Path, tyro.conf.Positional]
    """Folder of an exported run."""
    sentences: tuple[str, ...] = ()
    """To type instead of the built-in twelve."""


def main(flags: TypingFlags) -> None:
    """Open the keyboard and type."""
    from simulation.device.keyboard import Keyboard
    from simulation.studies.everyday_sentences import SENTENCES, type_sentences

    type_sentences(sys.stdout, Keyboard(flags.run_dir), flags.sentences or SENTENCES)


if __name__ == "__main__":
    sys.exit(run_door(lambda: main(parse_with_tyro(TypingFlags, sys.argv[1:]))))
