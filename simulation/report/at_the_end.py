"""The report as the last step of a run, which must not lose what the run has come to."""

from typing import TYPE_CHECKING

from client_model.metrics.table import MetricTable
from simulation.config import RunConfig
from simulation.run.directory import RunDirectory
from simulation.subcommands import command
from simulation.tables import Whole
from typefleet.errors import TypefleetError

if TYPE_CHECKING:
    from client_model.tflite.export_tflite import Export  # with TensorFlow


def report_at_the_end(directory: RunDirectory, config: RunConfig, metrics: MetricTable, export: "Export") -> list[str]:
    """Write the report of a run that has just ended.

    Args:
        directory: of the run, with everything else in it.
        config, metrics: of the run.
        export: what was measured of its files for phones.

    Returns:
        Where the report is, or why there is none and what writes it later, in paragraphs.
    """
    later = command("scripts/report.py", directory.root)
    if not config.engine.report:
        return [Whole(later)]
    from jinja2 import TemplateError

    from simulation.report.facts import KeyPress
    from simulation.report.page import write_report  # with matplotlib, which no run needs before

    costs = {file.path.name: KeyPress(file.cost.median_ms, file.cost.p95_ms) for file in export.files}
    try:
        return [Whole(write_report(directory.root, config, metrics, costs))]
    except (TypefleetError, TemplateError, OSError) as error:
        return [f"not written: {error}; what writes it is", Whole(later)]
