"""What a comparison of runs leaves in a folder: a page, tidy tables, figures."""

import csv
import io
import os
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from client_model.metrics.intervals import Interval, over_seeds
from simulation.files import write_atomically, write_text_atomically
from simulation.studies.comparing.comparison import RunComparison
from simulation.studies.comparing.groups import RunGroup, seeds_text
from simulation.studies.comparing.metrics import Difference, Measured, values_by_seed
from simulation.studies.comparing.privacy import GroupPrivacy
from simulation.studies.comparing.reading import ComparedRun
from simulation.studies.comparing.tables import COSTS, file_names, report_tables
from typefleet.errors import ConfigError, expected, unwritable

_TEXTS = ("group", "seeds", "runs", "figure", "label", "unit")
_NUMBERS = ("value", "low", "high")
COLUMNS: dict[str, type] = {
    **dict.fromkeys(_TEXTS, str),
    **dict.fromkeys(_NUMBERS, float),
    "interval_over": str,
    "interval_number": int,
    "why_no_interval": str,
    "reference": str,
    **dict.fromkeys(("difference", "difference_low", "difference_high"), float),
    "difference_shown": bool,
    "difference_how": str,
    "why_no_difference": str,
    "note": str,
}
"""Of the tidy table, by name; every one may be empty (null)."""


def require_folder(folder: Path | None, runs: Sequence[Path] = ()) -> None:
    """Refuse early a folder that the comparison could not be written into.

    Args:
        folder: for the comparison; None: nothing is to be written.
        runs: the runs' folders, which nothing is written into.

    Raises:
        ConfigError: it is a file, or the folder of a run.
    """
    if folder is None:
        return
    if folder.exists() and not folder.is_dir():
        raise ConfigError(expected("--output-dir", "a folder", f"the file {folder}"))
    if (folder / "config.toml").exists() or os.path.realpath(folder) in map(os.path.realpath, runs):
        raise ConfigError(expected("--output-dir", "a folder for the comparison", f"{folder}, which holds a run"))


def write_comparison(found: RunComparison, folder: Path) -> list[Path]:
    """Write comparison.html, .csv and .parquet, and the figures; former ones are replaced.

    Args:
        found: by `compare_runs`.
        folder: made if it is not there.

    Returns:
        The files.

    Raises:
        ConfigError: the folder cannot be written.
    """
    from simulation.studies.comparing.plots import page_colours, write_figures
    from simulation.studies.pages import render

    require_folder(folder, [run.folder for group in found.groups for run in group.runs])
    try:
        folder.mkdir(parents=True, exist_ok=True)
        page, table, parquet = (folder / f"comparison.{ending}" for ending in ("html", "csv", "parquet"))
        rows = tidy_rows(found)
        write_text_atomically(table, _csv(rows))
        _write_parquet(parquet, rows)
        figures = write_figures(found, folder)
        values = {"found": found, "tables": report_tables(found), "figures": figures, "colours": page_colours(figures)}
        write_text_atomically(page, render("run_comparison.html", **values))
    except OSError as error:
        raise ConfigError(unwritable(f"--output-dir: {folder}", error)) from error
    return [page, table, parquet, *(path for figure in figures for path in figure.paths)]


def tidy_rows(found: RunComparison) -> list[dict[str, Any]]:
    """A row for each group and figure; None for what does not exist.

    Args:
        found: by `compare_runs`.
    """
    rows: list[dict[str, Any]] = []
    for number, group in enumerate(found.groups):
        about = {
            "group": group.label,
            "seeds": seeds_text(group),
            "runs": " ".join(str(run.folder) for run in group.runs),
        }
        reference = found.groups[found.reference].label
        for i, one in enumerate(found.measured[number]):
            row = {**about, **_metric_row(one)}
            if found.differences[number]:
                row |= _difference_row(found.differences[number][i], reference)
            rows.append(row)
            rows += [{**about, **row} for row in _baseline_rows(one)]
        rows += [{**about, **row} for row in _privacy_rows(found.privacy[number], found.ranking)]
        rows += [{**about, **row} for row in _cost_rows(found, group)]
    return [{name: row.get(name) for name in COLUMNS} for row in rows]


def _metric_row(one: Measured) -> dict[str, Any]:
    metric = one.metric
    unit = "share" if metric.unit == "percent" else metric.unit
    row: dict[str, Any] = {"figure": metric.name, "label": metric.label.strip(), "unit": unit, "value": one.value}
    return {**row, **_interval(one.interval), "why_no_interval": one.why or None}


def _interval(interval: Interval | None) -> dict[str, Any]:
    if interval is None or interval.low is None:
        return {}
    return {
        "low": interval.low,
        "high": interval.high,
        "interval_over": interval.over,
        "interval_number": interval.number,
    }


def _difference_row(one: Difference, reference: str) -> dict[str, Any]:
    interval = one.interval
    return {
        "reference": reference,
        "difference": None if interval is None else interval.mean,
        "difference_low": None if interval is None else interval.low,
        "difference_high": None if interval is None else interval.high,
        "difference_shown": one.is_shown,
        "difference_how": one.how or None,
        "why_no_difference": one.why or None,
    }


def _baseline_rows(one: Measured) -> Iterator[dict[str, Any]]:
    for baseline in one.metric.baselines:
        if baseline.name in one.baselines:
            label = f"{one.metric.label.strip()}: {baseline.label}"
            value = one.baselines[baseline.name]
            yield {"figure": baseline.key, "label": label, "unit": "share", "value": value}


def _privacy_rows(one: GroupPrivacy, ranking: str) -> Iterator[dict[str, Any]]:
    whose = "; ".join(one.is_of)
    note = f"of {whose}" if one.deployments else whose
    note = f"{note}; {ranking}" if ranking and one.deployments else note
    for name, label, value in (
        ("epsilon", "epsilon spent, the largest of the runs", one.epsilon),
        ("delta", "delta", one.delta),
        ("zcdp_rho", "zCDP rho spent, the largest of the runs", one.rho),
        ("epsilon_rank", "rank by epsilon, 1 for the smallest", one.rank),
        ("noise_is_repeatable", "1 if whoever knows the seed can make the noise again", one.noise_is_repeatable),
    ):
        number = None if value is None else float(value)
        yield {"figure": name, "label": label, "unit": "number", "value": number, "note": note}


def _cost_rows(found: RunComparison, group: RunGroup) -> Iterator[dict[str, Any]]:
    for name, heading, unit, _, value_of in COSTS:
        label = " ".join(heading.partition(",")[0].split()) or name.replace("_", " ")
        yield _mean_row(name, label, unit, list(values_by_seed(group, value_of).values()))
    for file in file_names(found):
        sizes = values_by_seed(group, partial(_size_of, file))
        row = _mean_row(f"{file.partition('.')[0]}_bytes", file, "bytes", list(sizes.values()))
        yield row if sizes else {**row, "note": "not exported"}


def _size_of(file: str, run: ComparedRun) -> int | None:
    return run.file_bytes.get(file)


def _mean_row(name: str, label: str, unit: str, values: Sequence[float]) -> dict[str, Any]:
    row: dict[str, Any] = {"figure": name, "label": label, "unit": unit}
    if not values:
        return {**row, "why_no_interval": "no value"}
    interval = over_seeds(values)
    why = interval.why or (None if len(values) > 1 else "one seed")
    return {**row, "value": interval.mean, **_interval(interval), "why_no_interval": why}


def _csv(rows: Sequence[dict[str, Any]]) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, list(COLUMNS), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def _write_parquet(path: Path, rows: Sequence[dict[str, Any]]) -> None:
    import pyarrow as pa  # takes longer to import than a small table to write
    import pyarrow.parquet as pq

    kinds = {str: pa.string(), float: pa.float64(), int: pa.int64(), bool: pa.bool_()}
    columns = {name: pa.array([row[name] for row in rows], kinds[kind]) for name, kind in COLUMNS.items()}
    write_atomically(path, lambda file: pq.write_table(pa.table(columns), file))
