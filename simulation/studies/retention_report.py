"""What a policy keeps and lets go, as a table for people; and letting it go."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TextIO

from rich.console import Console

from simulation.studies.retention import (
    CACHES,
    Expiry,
    delete_from_caches,
    delete_from_run,
    is_finished,
    look_at_caches,
    look_at_run,
)
from simulation.tables import console_for, print_table
from typefleet.errors import ConfigError, expected
from typefleet.sealed.envelope import is_encrypted

_HEADINGS = ("what", "category", "size", "age,\ndays", "kept,\ndays", "")


def retain(
    stream: TextIO,
    runs: Sequence[Path],
    policy: Mapping[str, float],
    cache_dir: Path | None,
    *,
    apply: bool,
    unfinished: bool = False,
) -> int:
    """Show what is kept and what goes, and let it go if that is asked for; returns the exit code.

    Args:
        stream: where it is shown.
        runs: folders of runs.
        policy: days by category.
        cache_dir: of the cache; None: the usual one.
        apply: delete what has been kept for long enough.
        unfinished: of runs that have not ended as well, which then cannot go on.

    Returns:
        1 if something could not be deleted since a process reads it.

    Raises:
        ConfigError, RunInUseError: what cannot be read, written or held; what was deleted before is in the logs.
    """
    if not runs and CACHES not in policy:
        raise ConfigError(expected("RUN_DIR", "the folder of a run, or a policy with days for caches", "neither"))
    console, over, left = console_for(stream), 0, list[Expiry]()
    once: dict[Path, Path] = {}
    for root in runs:
        once.setdefault(root.resolve(), root)  # a run that is named twice is one
    looked = [(root, look_at_run(root, policy)) for root in once.values()]  # all of them before anything is deleted
    in_caches = look_at_caches(cache_dir, policy)
    for root, found in looked:
        console.print(str(root), soft_wrap=True)
        if not is_finished(root) and not unfinished:
            console.print("left as it is: the run has not ended; --unfinished takes it as well\n")
            continue
        gone = delete_from_run(root, found) if apply else []
        over += _shown(console, found, gone)
    if in_caches:
        console.print(str(in_caches[0].folder), soft_wrap=True)
        gone, left = delete_from_caches(in_caches) if apply else ([], [])
        over += _shown(console, in_caches, gone, left)
    if over and not apply:
        console.print("nothing was deleted; --apply does it, for good")
    return 1 if left else 0


def _shown(console: Console, found: Sequence[Expiry], gone: Sequence[Expiry], in_use: Sequence[Expiry] = ()) -> int:
    """Print one folder's table; how many of it are to go, or have gone."""
    if found:
        rows = [
            [
                _name(one),
                one.category,
                f"{one.bytes / 1e6:,.1f} MB" if one.bytes >= 1e5 else f"{one.bytes / 1e3:.1f} kB",
                f"{one.age_days:.1f}",
                f"{one.keep_days:g}",
                "in use" if one in in_use else _verdict(one, is_gone=one in gone),
            ]
            for one in found
        ]
        print_table(console, _HEADINGS, rows)
    else:
        console.print("nothing that the policy speaks of")
    console.print()
    return sum(one.is_over for one in found)


def _name(one: Expiry) -> str:
    """Of a tokenised file, the first digits of its digest."""
    if one.category != CACHES:
        return one.what
    name = "a draft" if one.what.startswith(".") else one.what[:8]
    return f"{name}{', encrypted' if is_encrypted(one.folder / one.what) or one.key_erased else ''}"


def _verdict(one: Expiry, *, is_gone: bool) -> str:
    if one.is_link:
        return "a link; left"
    if not one.is_over:
        return f"stays {one.keep_days - one.age_days:.1f} days"
    return f"{'gone' if is_gone else 'goes'}{', with its key' if one.key_erased else ''}"
