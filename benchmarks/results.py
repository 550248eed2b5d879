"""A benchmark's file, written and shown."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Console

from benchmarks.earlier import Benchmarked
from benchmarks.figures import FORM
from benchmarks.findings import Figures
from benchmarks.report import print_differences, print_figures, print_kernels, print_machine, print_musts, profile_of
from simulation.files import write_text_atomically

_PROFILED = "simulation cifg 2"


def write(path: Path, found: Mapping[str, Any]) -> None:
    """Write all that was measured, and the figures made of it.

    Args:
        path: of the file.
        found: what `Benchmark.run` returns.
    """
    content = {"form": FORM, **found, "figures": []}
    write_text_atomically(path, json.dumps(content, indent=2) + "\n")  # half an hour's work, whatever comes of it
    content["figures"] = [figure.to_json() for figure in Figures(found).all()]
    write_text_atomically(path, json.dumps(content, indent=2) + "\n")


def show(
    console: Console, ours: Benchmarked, earlier: Benchmarked | None = None, found: Mapping[str, Any] | None = None
) -> None:
    """Print the machine and the figures.

    Args:
        console: to print on.
        ours: the benchmark.
        earlier: another one, to stand beside it.
        found: what it was made of, if it was made just now: where the time of a round went is shown as well.
    """
    print_machine(console, ours.machine, ours.load_at_start)
    print_kernels(console, ours.kernels)
    print_figures(console, list(ours.figures.values()), earlier)
    print_musts(console, ours, earlier)
    if earlier is not None:
        print_differences(console, ours, earlier)
    if found is not None and _PROFILED in found["measured"]:
        console.print(profile_of(found["measured"][_PROFILED][0]["rounds"][-1]))
