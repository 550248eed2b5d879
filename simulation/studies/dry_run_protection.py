"""A fleet that hides each update from the server beside the same fleet that does not: rounds a day, and success.

Both are the same phones with the same seeds, so figures are compared fleet by fleet; what differs is what a phone
downloads, computes and uploads.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Console

from client_model.metrics.intervals import Interval, over_seeds, shown_half, why_so_wide
from simulation.config import RunConfig
from simulation.files import read_json_object, write_text_atomically
from simulation.studies.dry_run import prepare_dry_run
from simulation.studies.dry_run_report import dry_run_summary, play, play_and_report
from simulation.studies.dry_run_seeds import seeded
from simulation.studies.dry_run_settings import Protection
from simulation.tables import print_table

FILE = "beside_plain.json"
# Key, name, unit, factor and digits.
_FIGURES = (
    ("rounds_per_day", "rounds completed per day", "", 1.0, 1),
    ("rounds_completed_share", "rounds completed", "%", 100.0, 1),
    ("round_s.p50", "round, median", "s", 1.0, 0),
    ("round_s.p95", "round, 95 % below", "s", 1.0, 0),
    ("outcome_share.reported", "invited that reported", "%", 100.0, 1),
    ("outcome_share.late", "too late", "%", 100.0, 1),
    ("outcome_share.dropped_ineligible", "no longer eligible", "%", 100.0, 1),
    ("outcome_share.dropped_upload", "upload broke off", "%", 100.0, 1),
    ("participation.never_used_share", "phones never used", "%", 100.0, 1),
)


def play_beside_plain(
    console: Console, config: RunConfig, days: float, seeds: int, protection: Protection
) -> list[Path]:
    """Play rounds with the protection, report them as any dry run, then the same without, and print both.

    Args:
        console: to print to.
        config: of the simulation, with the folder for the files.
        days: simulated ones to play.
        seeds: fleets to play.
        protection: what it adds to each phone's round.

    Returns:
        The files of the dry run with the protection, and beside_plain.json.

    Raises:
        InputError: the settings or the files that they name cannot be used; nothing was written.
    """
    files = play_and_report(console, config, days, seeds, protection)
    folder = files[0].parent
    found = read_json_object(folder / "summary.json", "the summary of a dry run")
    protected = [found] if seeds == 1 else list(found["by_seed"].values())
    plain = [_without(one, days) for one in seeded(config, seeds)]
    figures = {key: _beside(key, plain, protected) for key, *_ in _FIGURES}
    _print(console, figures, protection, seeds)
    content = {
        "protection": asdict(protection),
        "seeds": [config.seed + number for number in range(seeds)],
        "figures": {key: _as_json(value) for key, value in figures.items()},
        "plain_by_seed": plain,
    }
    write_text_atomically(folder / FILE, json.dumps(content, indent=2) + "\n")
    return [*files, folder / FILE]


def _without(config: RunConfig, days: float) -> dict[str, Any]:
    run, cohorts = prepare_dry_run(config)
    play(config, run, cohorts, days=days, name=f", plain, seed {config.seed}")
    return dry_run_summary(run, config.cohort)


def _value(summary: Mapping[str, Any], key: str) -> float | None:
    found: Any = summary
    for part in key.split("."):
        found = None if found is None else found[part]
    return None if found is None else float(found)


def _beside(
    key: str, plain: Sequence[Mapping[str, Any]], protected: Sequence[Mapping[str, Any]]
) -> tuple[Interval, Interval, Interval] | None:
    """Plain, protected, and their difference paired by seed; None where a fleet has no value."""
    pairs = [(_value(a, key), _value(b, key)) for a, b in zip(plain, protected, strict=True)]
    known = [(a, b) for a, b in pairs if a is not None and b is not None]
    if len(known) < len(pairs):
        return None
    before, after = zip(*known, strict=True)
    return over_seeds(before), over_seeds(after), over_seeds([b - a for a, b in known])


def _as_json(found: tuple[Interval, Interval, Interval] | None) -> dict[str, Any]:
    if found is None:
        return {"plain": None, "protected": None, "difference": None, "why": "not every fleet has a value"}
    plain, protected, difference = found
    why = difference.why or ("one seed says nothing of the spread over seeds" if difference.number == 1 else None)
    return {
        "plain": plain.mean,
        "protected": protected.mean,
        "difference": difference.mean,
        "low": difference.low,
        "high": difference.high,
        "why": why if difference.low is None else None,
    }


def _print(
    console: Console,
    figures: Mapping[str, tuple[Interval, Interval, Interval] | None],
    protection: Protection,
    seeds: int,
) -> None:
    console.print(
        f"\nWith the protection ({protection.upload_mb:g} MB up, {protection.download_mb:g} MB down and "
        f"{protection.compute_s:g} s more per phone and round) beside the same fleet without:"
    )
    rows = [
        (
            f"{name}{unit and f', {unit}'}",
            *(_text(one, factor, digits) for one in found[:2]),
            _change(found[2], factor, digits),
        )
        for key, name, unit, factor, digits in _FIGURES
        if (found := figures[key]) is not None and any(one.mean for one in found)
    ]
    print_table(console, ("", "plain", "protected", "difference"), rows)
    if seeds > 1:
        wide = why_so_wide(seeds)
        note = f"±: half of the 95 % t-interval over {seeds} seeds of the difference within each fleet"
        console.print(f"{note}{f'; {wide}' if wide else ''}.")


def _text(one: Interval, factor: float, digits: int) -> str:
    return f"{factor * one.mean:,.{digits}f}"


def _change(one: Interval, factor: float, digits: int) -> str:
    half = "" if one.half_width is None else f" ± {shown_half(f'{factor * one.half_width:.{digits}f}')}"
    return f"{round(factor * one.mean, digits) + 0.0:+,.{digits}f}{half}"  # 0.0: no minus before a zero
