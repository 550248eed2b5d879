"""What is kept of files of messages, how much and since when: python scripts/show_cache.py [--empty]

Tokenised files are kept in a cache, from where runs read them. They hold the words that people wrote.
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from simulation.flags import parse_with_tyro


@dataclass(frozen=True)
class Flags:
    """Show what the cache of tokenised files has; with --empty, remove it."""

    cache_dir: Path | None = None
    """The folder that runs have as --data.cache-dir; by default typefleet/ in the user's cache folder."""
    empty: bool = False
    """Remove every tokenised file that no process reads, and every draft that a killed one left."""


def main(argv: Sequence[str]) -> int:
    """Show it, or empty it; exit code 1 if something was in use and is still there."""
    flags = parse_with_tyro(Flags, argv)
    from simulation.studies.cache_report import empty_cache, print_cache

    return empty_cache(sys.stdout, flags.cache_dir) if flags.empty else print_cache(sys.stdout, flags.cache_dir)
