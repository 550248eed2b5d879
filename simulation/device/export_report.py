"""The table of exported files."""

import textwrap
from pathlib import Path
from typing import Any, TextIO

from client_model.metrics.keyboard_metrics import TOP1_RECALL
from client_model.metrics.table import MetricTable
from client_model.tflite.export_tflite import KEY_PRESS_BUDGET_MS, TARGETS, Export, ExportedFile
from simulation.flags import read_config
from simulation.run.directory import RunDirectory
from simulation.run.progress import percent
from simulation.tables import console_for, print_table

_BEFORE = ("\nfile", "size\nMB", "same first\nword, %", "same three\nwords, %")
_AFTER = ("key press\nmedian, ms", "key press\np95, ms", "memory\nMB")
_COLUMN = 12  # most letters of a heading's line


def print_export_table(stream: TextIO, export: Export, run: Path) -> None:
    """One row a file, the trained weights above them; what a file is held to stands behind its value.

    Args:
        stream: to print to.
        export: with a file at least.
        run: folder of the finished run that it is of, whose own recall is that of other messages.

    Raises:
        ConfigError: the run has no summary or settings that can be read.
    """
    console, metrics = console_for(stream), export.metrics
    rows = [_row(file, metrics) for file in export.files]
    if export.trained is not None:
        rows.insert(0, ["trained weights", "", "", "", *_values(export.trained, metrics), "", "", ""])
    print_table(console, [*_BEFORE, *(_folded(metric.heading) for metric in metrics.compared), *_AFTER], rows)
    contexts = export.files[0].agreement.contexts
    console.print(f"In {contexts:,} different contexts of held-out text; one thread, a process for each file.")
    for file in export.files:
        if file.cost.train_step_ms is not None:
            console.print(
                f"{file.path.name}: {file.cost.train_step_ms:.0f} ms per training step; losses and weights are those "
                "of a simulated phone's plain SGD."
            )
    console.print(_whose_recall(export, run))


def _whose_recall(export: Export, run: Path) -> str:
    """Why the recall of the trained weights is not the one that the run ended with."""
    reached = RunDirectory(run).read_summary().held_out.get(TOP1_RECALL.name)
    most = read_config(run / "config.toml", begun=True).evaluation.max_sequences
    ended = "" if reached is None else f", {TOP1_RECALL.text(reached)},"
    return (
        f"Recall and keystrokes here are of {export.messages:,} messages of people held out, the last ones of each, to "
        f"hold the files to the weights. The recall that the run ended with{ended} is of up to {most:,} of each."
    )


def _folded(heading: str) -> str:
    """In two lines, of which the first may be empty."""
    lines = textwrap.wrap(heading, _COLUMN)
    return "\n".join(lines if len(lines) > 1 else ["", *lines])


def _values(values: dict[str, Any], metrics: MetricTable) -> list[str]:
    return [metric.bare(values[metric.name]) for metric in metrics.compared]


def _percent(share: float | None) -> str:
    return percent(share).removesuffix(" %")


def _row(file: ExportedFile, metrics: MetricTable) -> list[str]:
    target, cost = TARGETS[file.kind], file.cost
    return [
        file.path.name,
        f"{file.size_bytes / 1e6:.2f}",
        f"{_percent(file.agreement.first)} >= {100 * target.first:g}",
        f"{_percent(file.agreement.three)} >= {100 * target.three:g}",
        *_values(file.values, metrics),
        f"{cost.median_ms:.2f}",
        f"{cost.p95_ms:.2f} <= {KEY_PRESS_BUDGET_MS:g}",
        "-" if cost.memory_bytes is None else f"{cost.memory_bytes / 1e6:.1f}",
    ]
