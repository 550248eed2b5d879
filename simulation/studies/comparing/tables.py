"""The tables of a comparison of runs, for the terminal and the page alike."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from rich.console import Console

from client_model.metrics.intervals import why_so_wide
from client_model.metrics.keyboard_metrics import PERPLEXITY
from client_model.metrics.metric import Metric
from server_strategy.privacy.rounded_up import Bound
from server_strategy.privacy.statement_noise import REPEATABLE
from simulation.studies.comparing.comparison import RunComparison
from simulation.studies.comparing.groups import RunGroup, seeds_text
from simulation.studies.comparing.metrics import standard_baselines
from simulation.studies.comparing.privacy import GroupPrivacy
from simulation.studies.comparing.reading import ComparedRun
from simulation.studies.comparing.texts import difference_text, measured_text
from simulation.tables import print_table

_DAY_S = 86_400


@dataclass(frozen=True)
class ReportTable:
    """One table: a row for each group, but for the settings."""

    title: str
    headings: Sequence[str]
    rows: Sequence[Sequence[str]]
    notes: Sequence[str] = field(default=())  # lines below it


def report_tables(found: RunComparison) -> list[ReportTable]:
    """All tables of a comparison, in the order in which they are read."""
    tables = [_groups_table(found), _settings_table(found), _metrics_table(found)]
    if len(found.groups) > 1:
        tables.append(_differences_table(found))
    return [*tables, _privacy_table(found), _cost_table(found)]


def print_comparison(console: Console, found: RunComparison) -> None:
    """Print every table and its notes, and the warnings first.

    Args:
        console: where to.
        found: by `compare_runs`.
    """
    for warning in found.warnings:
        console.print(f"note: {warning}", style="bold", markup=False)
    for table in report_tables(found):
        console.print(f"\n{table.title}", style="bold", markup=False)
        if table.rows:
            print_table(console, table.headings, table.rows)
        for note in table.notes:
            console.print(note, markup=False)


def _label(group: RunGroup) -> str:
    """One value a line, since groups are columns where there is little room."""
    return group.label.replace(", ", ",\n")


def _groups_table(found: RunComparison) -> ReportTable:
    by = f"runs with the same {', '.join(found.by)}" if found.by else "runs that differ in their seed alone"
    if found.by == ("run",):
        by = "each run by itself"
    rows = [
        (
            _label(group),
            str(len(group.runs)),
            seeds_text(group),
            _range(group.runs, lambda run: run.summary.rounds_completed),
            _range(group.runs, lambda run: run.summary.rounds_abandoned),
            _range(group.runs, _people),
        )
        for group in found.groups
    ]
    runs = sum(len(group.runs) for group in found.groups)
    headings = ("group", "runs", "seeds", "rounds\ncompleted", "rounds\nabandoned", "people\nmeasured")
    notes = [f"The reference is {found.groups[found.reference].label}."] if len(found.groups) > 1 else []
    if any(run.settings["evaluation.people"] == "validation" for group in found.groups for run in group.runs):
        notes.append(
            "Measured on validation people, by whom settings are chosen: no result to report (docs/studies.md)."
        )
    return ReportTable(f"{_number(runs, 'run')} in {_number(len(rows), 'group')}: {by}", headings, rows, notes)


def _number(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"


def _people(run: ComparedRun) -> int | None:
    return None if run.held_out is None else len(run.held_out.phones)


def _range(runs: Iterable[ComparedRun], value_of: Callable[[ComparedRun], Any], text: str = ",.0f") -> str:
    """The value that all runs have, or the smallest and the largest."""
    values = [value for value in map(value_of, runs) if value is not None]
    if not values:
        return "-"
    low, high = format(min(values), text), format(max(values), text)
    return low if low == high else f"{low}-{high}"


def _settings_table(found: RunComparison) -> ReportTable:
    headings = ("", *(_label(group) for group in found.groups))
    rows = [(row.name, *row.texts) for row in found.settings]
    notes = ["- : the setting does not apply, or has no value."]
    if not rows:
        notes = ["None but the seed."]
    return ReportTable("Settings that differ", headings, rows, notes)


# Figures -----------------------------------------------------------------------------------------------


def shown_metrics(metrics: Sequence[Metric]) -> list[int]:
    """Indices of those that have a column: what is compared, and the perplexity. All are in the files."""
    return [i for i, metric in enumerate(metrics) if metric.compared or metric.name == PERPLEXITY.name]


def _metrics_table(found: RunComparison) -> ReportTable:
    columns = shown_metrics(found.metrics)
    headings = ["group"]
    for i in columns:
        metric = found.metrics[i]
        headings.append(_heading(metric))
        headings += [f"by\n{name}" for name in _baselines_beside(found, i)]
    rows = []
    for group, values in zip(found.groups, found.measured, strict=True):
        row = [_label(group)]
        for i in columns:
            row.append(measured_text(values[i]))
            reached = standard_baselines(values[i])
            row += [found.metrics[i].bare(reached.get(name)) for name in _baselines_beside(found, i)]
        rows.append(row)
    return ReportTable("Suggestions", headings, rows, _interval_notes(found, columns))


def _heading(metric: Metric) -> str:
    name, _, unit = metric.heading.partition(", ")
    return f"{name},\n{unit}" if unit else name


def _baselines_beside(found: RunComparison, number: int) -> list[str]:
    return list(dict.fromkeys(name for values in found.measured for name in standard_baselines(values[number])))


def _interval_notes(found: RunComparison, columns: Sequence[int]) -> list[str]:
    """Which interval it is, of which groups; why others have none, and why some are so wide."""
    kinds: dict[str, list[str]] = {}
    for group, values in zip(found.groups, found.measured, strict=True):
        one = values[columns[0]]
        if one.interval is None or one.interval.low is None:
            what = f"No interval, since there is {one.why}" if one.why.startswith("one") else f"No interval: {one.why}"
        elif one.interval.over == "seeds":
            wide = why_so_wide(one.interval.number)
            what = f"± half of the 95 % t-interval over {one.interval.number} seeds, each with other people"
            what += f": {wide}" if wide else ""
        else:
            what = f"± half of the 95 % bootstrap interval over {one.interval.number:,} people of one run"
        kinds.setdefault(what, []).append(group.label)
    return [
        *(f"{what}{_of_whom(labels, found)}." for what, labels in kinds.items()),
        *_other_notes(found, columns),
        "bigram, trigram: what counting pairs and triples of words reaches on the same people.",
    ]


def _other_notes(found: RunComparison, columns: Sequence[int]) -> list[str]:
    """What is said of a metric alone: that it has diverged, or why it has no interval where the first one has."""
    notes: dict[str, list[str]] = {}
    for group, values in zip(found.groups, found.measured, strict=True):
        for one in (values[i] for i in columns):
            name = one.metric.label.strip()
            if one.metric.has_diverged(one.value):
                notes.setdefault(f"diverged, {name}: {one.metric.diverged_why}", []).append(group.label)
            elif one.value is not None and one.why and one.why != values[columns[0]].why:
                notes.setdefault(f"No interval, {name}: {one.why}", []).append(group.label)
    return [f"{what}{_of_whom(labels, found)}." for what, labels in notes.items()]


def _of_whom(labels: Sequence[str], found: RunComparison) -> str:
    return "" if len(labels) == len(found.groups) else f" ({'; '.join(labels)})"


def _differences_table(found: RunComparison) -> ReportTable:
    columns = shown_metrics(found.metrics)
    others = [i for i in range(len(found.groups)) if i != found.reference]
    rows = [
        [_label(found.groups[i]), *(difference_text(found.differences[i][column]) for column in columns)]
        for i in others
    ]
    hows: dict[str, list[str]] = {}
    for i in others:
        one = found.differences[i][columns[0]]
        what = f"Differences are {one.how}" if one.how and not one.why else f"No interval for a difference: {one.why}"
        if one.interval is not None and one.interval.over == "seeds" and (wide := why_so_wide(one.interval.number)):
            what += f", {wide}"
        hows.setdefault(what, []).append(found.groups[i].label)
    notes = [f"{what}{f' ({chr(59).join(labels)})' if len(hows) > 1 else ''}." for what, labels in hows.items()]
    notes.append(
        "± half of the 95 % interval. Where it holds 0, no difference is shown; where there is no difference, one "
        "interval in 20 leaves 0 out all the same."
    )
    headings = ["group", *(_difference_heading(found.metrics[i]) for i in columns)]
    return ReportTable(f"Difference to {found.groups[found.reference].label}", headings, rows, notes)


def _difference_heading(metric: Metric) -> str:
    return f"{metric.short or metric.label}{f',{chr(10)}points' if metric.unit == 'percent' else ''}"


# Costs -------------------------------------------------------------------------------------------------


def _privacy_table(found: RunComparison) -> ReportTable:
    """Whose epsilon it is stands below it where it is the same for all, and else in a column."""
    private = [one for one in found.privacy if one.deployments]
    whose = list(dict.fromkeys(text for one in private for text in one.is_of))
    headings = ["group", "rank", "mechanism", "epsilon", "delta", "rho", "repeatable\nnoise"]
    headings += ["epsilon is of"] if len(whose) > 1 else []
    rows = [
        [_label(group), *_privacy_cells(one)][: len(headings)]
        for group, one in zip(found.groups, found.privacy, strict=True)
    ]
    notes = [f"Every epsilon is of {whose[0]}."] if len(whose) == 1 else []
    if any(one.rank for one in found.privacy):
        notes.append("rank: 1 for the smallest epsilon, to 3 digits.")
    if found.ranking:
        notes.append(f"NOTE: {found.ranking}{'' if len(whose) > 1 else ' (they differ in delta or unit)'}.")
    if any(one.noise_is_repeatable for one in private):
        notes.append(f"By its seed: {REPEATABLE}.")
    return ReportTable("Privacy", headings, rows, notes)


def _privacy_cells(one: GroupPrivacy) -> list[str]:
    return [
        "-" if one.rank is None else str(one.rank),
        ",\n".join(one.mechanisms),
        _epsilon_text(one),
        "-" if one.delta is None else f"{Bound(one.delta):.2g}",
        "-" if one.rho is None else f"{Bound(one.rho):.3g}",
        {None: "-", True: "by its seed", False: "no"}[one.noise_is_repeatable],
        ";\n".join(map(_short_lines, one.is_of)),
    ]


def _short_lines(text: str) -> str:
    """A long sentence on lines of some 20 characters, so that several groups stand side by side."""
    lines = [""]
    for word in text.split():
        if lines[-1] and len(lines[-1]) + len(word) > 20:
            lines.append("")
        lines[-1] = f"{lines[-1]} {word}".strip()
    return "\n".join(lines)


def _epsilon_text(one: GroupPrivacy) -> str:
    if one.epsilon is None or one.smallest_epsilon is None:
        return "none"
    low, high = f"{Bound(one.smallest_epsilon):.3g}", f"{Bound(one.epsilon):.3g}"
    return high if low == high else f"{low}-{high}"


COSTS: tuple[tuple[str, str, str, str, Callable[[ComparedRun], Any]], ...] = (
    ("wall_seconds", "wall time,\ns", "s", ",.0f", lambda run: run.summary.wall_seconds),
    ("tokens_per_second", "training,\ntokens/s", "tokens/s", ",.0f", lambda run: run.summary.tokens_per_second),
    ("rounds_completed", "", "rounds", ",.0f", lambda run: run.summary.rounds_completed),
    ("rounds_abandoned", "", "rounds", ",.0f", lambda run: run.summary.rounds_abandoned),
    ("simulated_days", "simulated\ndays", "days", ",.1f", lambda run: run.summary.simulated_seconds / _DAY_S),
    (
        "never_used_share",
        "phones never\nused, %",
        "share",
        ",.1%",
        lambda run: run.summary.participation.never_used_share,
    ),
)
"""Name, heading (none if it stands elsewhere), unit, format, and where a run has it."""


def file_names(found: RunComparison) -> list[str]:
    """The files for phones that any of the runs has, the 8-bit one first."""
    names = {name for group in found.groups for run in group.runs for name in run.file_bytes}
    return sorted(names, key=lambda name: (len(name), name))


def _cost_table(found: RunComparison) -> ReportTable:
    shown = [cost for cost in COSTS if cost[1]]
    names = file_names(found)
    headings = ["group", *(heading for _, heading, *_ in shown), *(f"{name},\nMB" for name in names)]
    rows = []
    for group in found.groups:
        row = [_label(group)]
        row += [_range(group.runs, value_of, text).replace("%", "") for _, _, _, text, value_of in shown]
        row += [_range(group.runs, partial(_megabytes, name), ".2f") for name in names]
        rows.append(row)
    notes = ["From the fastest to the slowest run of a group; wall times compare only on one machine at rest."]
    if not names:
        notes.append("Files for phones: none of the runs was exported.")
    return ReportTable("Cost", headings, rows, notes)


def _megabytes(name: str, run: ComparedRun) -> float | None:
    size = run.file_bytes.get(name)
    return None if size is None else size / 1e6
