"""The page: report.html in a run's folder, in one file that needs nothing else and runs no script."""

import re
from collections.abc import Mapping
from importlib.metadata import version
from os.path import lexists
from pathlib import Path

from client_model.metrics.table import MetricTable
from client_model.tflite.export_folder import FILES
from simulation.config import RunConfig
from simulation.files import write_text_atomically
from simulation.report import figures, sums, tables, times, words
from simulation.report.drift import alarms, watch
from simulation.report.environment import REPORT_TEMPLATES, page_environment
from simulation.report.facts import KeyPress, LeftOut, RunFacts
from simulation.report.funnel import pace_of_rounds, why_abandoned
from simulation.report.gathering import collect_facts
from simulation.run.directory import RunDirectory
from simulation.subcommands import command
from typefleet.errors import ConfigError, expected, unwritable

_NO_BREAK = "\N{NO-BREAK SPACE}"


def write_report(
    root: Path,
    config: RunConfig | None = None,
    metrics: MetricTable | None = None,
    key_presses: Mapping[str, KeyPress] | None = None,
) -> Path:
    """Write the report of a run into its folder, whole or not at all.

    Args:
        root: the folder; the run may be one that was stopped, or older than what the page has room for.
        config, metrics, key_presses: see `collect_facts`.

    Returns:
        Where it is.

    Raises:
        InputError: there is no run, its settings, rounds or summary are damaged, or the disk refused the page.
    """
    return _write(collect_facts(root, config, metrics, key_presses))


def _write(facts: RunFacts) -> Path:
    path = RunDirectory(facts.root).report
    page = render(facts)
    try:
        write_text_atomically(path, page, private=True)
    except OSError as error:
        raise ConfigError(unwritable(path, error)) from error
    return path


def report_of_folder(root: Path) -> Path:
    """Write the report of any run, its files for phones measured anew.

    Raises:
        InputError: as `write_report`; or the page is written, and leaves out a privacy statement that is damaged.
        ExportError: a file for phones does not run.
    """
    from client_model.tflite.export_checks import measure_cost  # with TensorFlow

    RunDirectory(root).read_summary()  # refused before anything is measured
    files = [path for name in FILES.values() if (path := root / "model" / name).exists()]
    costs = ((path.name, measure_cost(path)) for path in files)
    facts = collect_facts(root, key_presses={name: KeyPress(cost.median_ms, cost.p95_ms) for name, cost in costs})
    path, statement = _write(facts), root / "privacy.json"
    if isinstance(facts.privacy, LeftOut) and lexists(statement):
        found = facts.privacy.reason.rpartition(", found ")[2]
        raise ConfigError(expected(statement, "the privacy statement of a run", f"{found}; {path} leaves it out"))
    return path


def render(facts: RunFacts) -> str:
    """The page of these facts, as HTML."""
    watched = watch(facts.rounds)
    environment = page_environment(REPORT_TEMPLATES)
    environment.tests["left_out"] = lambda value: isinstance(value, LeftOut)
    page = environment.get_template("report.html").render(
        facts=facts,
        summary=facts.summary,
        tables=tables,
        words=words,
        figures=figures,
        sums=sums,
        times=times,
        watched=watched,
        alarms=alarms(watched),
        pace=pace_of_rounds(facts.rounds),
        abandoned=why_abandoned(facts.rounds),
        version=version("typefleet"),
        command=lambda script, *arguments: command(f"scripts/{script}", *arguments),
    )
    return re.sub(r"(?<=[\d,]) %(?!</th>)", f"{_NO_BREAK}%", page)  # a heading may need two lines
