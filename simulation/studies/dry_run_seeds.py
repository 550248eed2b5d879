"""The same dry run over several seeds: each figure's mean, and how far it may be from what other seeds would give.

A seed makes another fleet, other sessions and other failures of the same settings. The intervals are Student's t over
the seeds, see `client_model.metrics.intervals`.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from rich.console import Console

from client_model.metrics.intervals import CONFIDENCE, Interval, over_seeds, shown_half, why_so_wide
from server_strategy.config import CohortConfig
from simulation.config import RunConfig
from simulation.tables import print_groupings, print_table

# Of a summary, what is no figure of the fleet: counts of rows, clocks of the machine.
_NO_FIGURES = ("hours", "ready_s", "planning_s", "rounds_per_wall_second", "by_group")
_OF_A_GROUP = ("share_of_phones", "share_of_updates", "share_of_tokens", "updates_per_phone", "never_used_share")
_BY_PLACE = "group"
# Name, unit, factor and digits of what is printed, by the figure's key; the others are in summary.json.
_SHOWN = (
    ("rounds_per_day", "rounds completed per day", "", 1.0, 1),
    ("rounds_completed_share", "rounds completed", "%", 100.0, 1),
    ("round_s.p50", "round, selection included, median", "s", 1.0, 0),
    ("round_s.p95", "round, selection included, 95 % below", "s", 1.0, 0),
    ("checked_in.p50", "phones checked in at selection, median", "", 1.0, 0),
    ("outcome_share.reported", "invited phones that reported", "%", 100.0, 1),
    ("outcome_share.unused", "invited in vain", "%", 100.0, 1),
    ("outcome_share.late", "too late", "%", 100.0, 1),
    ("outcome_share.dropped_failure", "dropped: failure", "%", 100.0, 1),
    ("outcome_share.dropped_ineligible", "dropped: no longer eligible", "%", 100.0, 1),
    ("outcome_share.dropped_upload", "dropped: upload", "%", 100.0, 1),
    ("max_participations", "most updates of a phone", "", 1.0, 1),
    ("participation.never_used_share", "phones never used", "%", 100.0, 1),
    ("participation.gini", "Gini of updates over phones", "", 1.0, 3),
)


def seeded(config: RunConfig, seeds: int) -> list[RunConfig]:
    """The settings of each fleet: seeds one after another from that of the settings on.

    Args:
        config: of the first.
        seeds: how many.
    """
    return [replace(config, seed=config.seed + i) for i in range(seeds)]


def _figures(summary: Mapping[str, Any], groups: Sequence[tuple[str, str]]) -> dict[str, float | None]:
    """Every figure of a dry run's summary that is one number, by a dotted name; those of a group of phones too."""
    found = dict(_numbers({name: value for name, value in summary.items() if name not in _NO_FIGURES}))
    for (grouping, group), row in zip(groups, summary["by_group"], strict=True):
        found |= _numbers({name: row[name] for name in _OF_A_GROUP}, f"by_group.{grouping}.{group}.")
    return found


def _groups(summaries: Sequence[Mapping[str, Any]]) -> list[tuple[str, str]]:
    """(grouping, group) of each row; one whose bounds differ from seed to seed, such as a quarter, by its place."""
    found: list[tuple[str, str]] = []
    for rows in zip(*(summary["by_group"] for summary in summaries), strict=True):
        grouping, names = rows[0]["grouping"], {row["group"] for row in rows}
        place = 1 + sum(of == grouping for of, _ in found)
        found.append((grouping, names.pop() if len(names) == 1 else f"{_BY_PLACE} {place}"))
    return found


def _numbers(tree: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, float | None]]:
    for name, value in tree.items():
        if isinstance(value, Mapping):
            yield from _numbers(value, f"{prefix}{name}.")
        elif value is None or isinstance(value, int | float):
            yield f"{prefix}{name}", value


def intervals(summaries: Sequence[Mapping[str, Any]]) -> dict[str, Interval | None]:
    """Of every figure, over the seeds that a summary each is of; None of one that a seed has no value of.

    Args:
        summaries: by `simulation.studies.dry_run_report.dry_run_summary`, of the same settings, a seed each.
    """
    groups = _groups(summaries)
    by_seed = [_figures(summary, groups) for summary in summaries]
    names = dict.fromkeys(name for found in by_seed for name in found)
    values = {name: [found.get(name) for found in by_seed] for name in names}
    return {
        name: None if any(value is None for value in own) else over_seeds([v for v in own if v is not None])
        for name, own in values.items()
    }


def summary_of_seeds(summaries: Sequence[Mapping[str, Any]], seeds: Sequence[int]) -> dict[str, Any]:
    """What summary.json has: of one seed its summary, of several the intervals and the summary of each.

    Args:
        summaries: one per seed.
        seeds: in the same order.
    """
    if len(seeds) == 1:
        why = "one seed says nothing of the spread over seeds"
        return {**summaries[0], "seeds": list(seeds), "intervals": None, "why_no_intervals": why}
    return {
        "seeds": list(seeds),
        "intervals_are": f"{CONFIDENCE:.0%} t-intervals over seeds",
        "intervals": {name: _bounds(interval) for name, interval in intervals(summaries).items()},
        "by_seed": {str(seed): dict(summary) for seed, summary in zip(seeds, summaries, strict=True)},
    }


def _bounds(interval: Interval | None) -> dict[str, Any]:
    if interval is None:
        return {"mean": None, "low": None, "high": None, "why": "not every seed has a value"}
    found = {"mean": interval.mean, "low": interval.low, "high": interval.high}
    return {**found, "why": interval.why} if interval.why else found


def print_intervals(console: Console, found: Mapping[str, Interval | None], seeds: Sequence[int]) -> None:
    """The figures a reader wants first, then who takes part; and what stands behind each ±.

    Args:
        console: to print to.
        found: by `intervals`.
        seeds: that they are over.
    """
    rows = [
        (label, f"{_text(found[name], factor, digits)}{unit and f' {unit}':2}")
        for name, label, unit, factor, digits in _SHOWN
        if (one := found.get(name)) is not None and (one.mean or not name.startswith("outcome_share"))
    ]
    print_table(console, ("", "mean ± half\nof the interval"), rows)
    prefix = "by_group."
    groups = dict.fromkeys(name.removeprefix(prefix).rpartition(".")[0] for name in found if name.startswith(prefix))
    lines = []
    for group in groups:
        grouping, _, name = group.partition(".")
        own = (found[f"{prefix}{group}.{what}"] for what in ("share_of_phones", "share_of_updates", "never_used_share"))
        lines.append((grouping, name, *(_text(one, 100.0, 1) for one in own)))
    print_groupings(console, ("of phones,\n%", "of updates,\n%", "never used,\n%"), lines)
    if any(group.rpartition(".")[2].startswith(f"{_BY_PLACE} ") for group in groups):
        console.print(f"{_BY_PLACE} 1 to 4: from the fewest to the most; their bounds differ from seed to seed.")
    wide = why_so_wide(len(seeds))
    note = f"± half of the 95 % t-interval over {len(seeds)} seeds, {seeds[0]} to {seeds[-1]}, each another fleet"
    console.print(f"{note}{f': {wide}' if wide else ''}. Without ±: all seeds gave the same value.")


def print_stops(console: Console, summaries: Sequence[Mapping[str, Any]], cohort: CohortConfig) -> None:
    """That a run would not play on as a dry run does, if so.

    Args:
        console: to print to.
        summaries: one per seed.
        cohort: of all of them.
    """
    stops = [at for one in summaries if (at := one["would_stop_at_round"]) is not None]
    if stops:
        of = f", {len(stops)} of {len(summaries)} fleets" if len(summaries) > 1 else ""
        console.print(
            f"A run would stop at round {min(stops):,}{of}: {cohort.max_abandoned_in_a_row:,} in a row are abandoned "
            "(--cohort.max-abandoned-in-a-row), and abandoned rounds bring no phone back."
        )


def _text(one: Interval | None, factor: float, digits: int) -> str:
    if one is None:
        return "-"
    half = "" if one.half_width is None else f" ± {shown_half(f'{factor * one.half_width:.{digits}f}')}"
    return f"{factor * one.mean:,.{digits}f}{half}"
