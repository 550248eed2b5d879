"""What a policy keeps and lets go, as a table for people; and letting it go."""

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import TextIO

from rich.console import Console

from client_model.text.cache import cache_root
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
from typefleet.untrusted.toml_tables import read_toml

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
        cache_dir: of the cache; None: those of the runs by their settings, without runs the usual one.
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
    in_caches = [look_at_caches(one, policy) for one in _caches(once.values(), policy, cache_dir)]
    for root, found in looked:
        console.print(str(root), soft_wrap=True)
        if not is_finished(root) and not unfinished:
            console.print("left as it is: the run has not ended; --unfinished takes it as well\n")
            continue
        gone = delete_from_run(root, found) if apply else []
        over += _shown(console, found, gone)
    for found in filter(None, in_caches):
        console.print(str(found[0].folder), soft_wrap=True)
        gone, in_use = delete_from_caches(found) if apply else ([], [])
        over += _shown(console, found, gone, in_use)
        left += in_use
    if over and not apply:
        console.print("nothing was deleted; --apply does it, for good")
    if not over and (unfinished or all(map(is_finished, once.values()))):
        console.print("nothing is due")
    return 1 if left else 0


def _caches(runs: Collection[Path], policy: Mapping[str, float], cache_dir: Path | None) -> list[Path | None]:
    """The caches to look at, each once; None is the usual one.

    A run's own is in its settings. The usual one has other runs' text, and is not looked at for a run that has another.
    """
    if cache_dir is not None or not runs or CACHES not in policy:
        return [cache_dir]
    found: dict[Path, Path | None] = {}
    for root in runs:
        data = read_toml(root / "config.toml", "the settings of a run", ConfigError).get("data")
        named = data.get("cache_dir") if isinstance(data, dict) else None
        own = Path(named) if isinstance(named, str) else None
        found.setdefault(cache_root(own).resolve(), own)
    return list(found.values())


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
        print_table(console, _HEADINGS, rows, wrapped=0)
    else:
        console.print("nothing that the policy speaks of")
    console.print()
    return sum(one.is_over for one in found)


def _name(one: Expiry) -> str:
    """Of a tokenised file, the first digits of its digest, and how it was read."""
    if one.category != CACHES:
        return one.what
    digest, _, how = one.what.rstrip("/").partition("-")
    name = "a draft" if one.what.startswith(".") else f"{digest[:8]}-{how.replace('-encrypted', '')}"
    return f"{name}{', encrypted' if is_encrypted(one.folder / one.what) or one.key_erased else ''}"


def _verdict(one: Expiry, *, is_gone: bool) -> str:
    if one.is_link:
        return "a link; left"
    if not one.is_over:
        return f"stays {one.keep_days - one.age_days:.1f} days"
    return f"{'gone' if is_gone else 'goes'}{', with its key' if one.key_erased else ''}"
