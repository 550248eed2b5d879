"""The cache of tokenised files as a person sees it: how much, of what, since when; and emptied."""

from collections.abc import Sequence
from pathlib import Path
from typing import TextIO

from client_model.text.cache import LONGEST_UNUSED_DAYS, MOST_BYTES, Entry, cache_root, entries, remove
from simulation.subcommands import command
from simulation.tables import console_for, print_table
from typefleet.errors import ConfigError, unreadable

_UNITS_S = ((86400.0, "days"), (3600.0, "hours"), (60.0, "minutes"))


def print_cache(stream: TextIO, cache_dir: Path | None) -> int:
    """Print what a cache has and when it goes; returns the exit code.

    Args:
        stream: where to.
        cache_dir: its folder; None: the usual one.

    Raises:
        ConfigError: it cannot be read.
    """
    root, found = cache_root(cache_dir), _found(cache_dir)
    console = console_for(stream)
    console.print(str(root), markup=False, soft_wrap=True)
    if found:
        rows = [[_name(one), _size(one.size_bytes), _ago(one.unused_s)] for one in found]
        print_table(console, ("tokenised file", "size", "last used"), rows)
    console.print(
        f"{_counted(found)}. What is unused for {LONGEST_UNUSED_DAYS:g} days goes when a run next uses the cache, and "
        f"what is unused longest where all of it is more than {MOST_BYTES / 1e9:g} GB."
    )
    if found:
        given = () if cache_dir is None else ("--cache-dir", cache_dir)
        console.print(f"empty it   {command('scripts/show_cache.py', *given, '--empty')}", markup=False, soft_wrap=True)
    return 0


def empty_cache(stream: TextIO, cache_dir: Path | None) -> int:
    """Remove all that no process reads or writes; returns the exit code, 1 if something is left.

    Args:
        stream: where what was done is said.
        cache_dir: its folder; None: the usual one.

    Raises:
        ConfigError: it cannot be read, or something in it cannot be removed.
    """
    found = _found(cache_dir)
    try:
        left = [one for one in found if not remove(one)]
    except OSError as error:
        raise ConfigError(unreadable(cache_root(cache_dir), error, "a cache that can be emptied")) from error
    gone = [one for one in found if one not in left]
    print(f"removed: {_counted(gone)}", file=stream)
    if left:
        print(f"left, since a process is at work on it: {_counted(left)}", file=stream)
    return 1 if left else 0


def _found(cache_dir: Path | None) -> list[Entry]:
    root = cache_root(cache_dir)
    try:
        return sorted(entries(root), key=lambda one: one.unused_s)
    except OSError as error:
        raise ConfigError(unreadable(root, error, "a cache that can be read")) from error


def _counted(some: Sequence[Entry]) -> str:
    files = f"{len(some)} file{'' if len(some) == 1 else 's'}"
    return f"{files}, {_size(sum(one.size_bytes for one in some))}"


def _name(entry: Entry) -> str:
    """Enough of it to tell entries apart: the first digits of the content's digest, and how it was read."""
    if entry.is_draft:
        return "draft of one"
    digest, _, how = entry.path.name.partition("-")
    return f"{digest[:8]}-{how}"


def _size(size_bytes: int) -> str:
    return f"{size_bytes / 1e6:,.1f} MB" if size_bytes >= 1e5 else f"{size_bytes / 1e3:.1f} kB"


def _ago(seconds: float) -> str:
    for unit_s, name in _UNITS_S:
        if seconds >= 2 * unit_s:
            return f"{seconds / unit_s:.0f} {name} ago"
    return "just now"
