"""A run whose cell, metric and noise mechanism are parts of a package that is installed, as far as Python can tell."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.conftest import ROOT
from tests.forked_processes import run_forked
from tests.simulation.conftest import TINY
from tests.waiting import PATIENCE_S

POINTS = """
[typefleet.cells]
my_gru = tests.doors.toy_cell:KIND
[typefleet.mechanisms]
toy = tests.doors.toy_mechanism:KIND
[typefleet.metrics]
mean_reciprocal_rank = tests.doors.test_metric_door:KIND
"""
FLAGS = (
    *("--model.cell", "my_gru", "--model.update-bias", "0.5", "--evaluation.metrics", "mean_reciprocal_rank"),
    *("--privacy.mechanism", "toy", "--privacy.toy-setting", 3, "--engine.workers", 1, "--rounds", 8),
)


class InstalledRun(NamedTuple):
    """The run's folder, with all files for phones; what it printed, and what exporting printed."""

    folder: Path
    printed: str
    exported: str


@pytest.fixture(scope="session")
def environment(tmp_path_factory) -> dict[str, str]:
    """That of a process in which the package is installed."""
    about = tmp_path_factory.mktemp("site") / "parts-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: parts\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text(POINTS)
    path = [str(about.parent), str(ROOT), os.environ.get("PYTHONPATH", "")]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(path)}


@pytest.fixture(scope="session")
def as_installed(environment) -> Callable[..., subprocess.CompletedProcess]:
    """A script where the package is installed: as_installed("simulate.py", "--rounds", 1)."""

    def run(name: str, *arguments: object) -> subprocess.CompletedProcess:
        return run_forked([sys.executable, ROOT / "scripts" / name, *arguments], timeout=PATIENCE_S, env=environment)

    return run


@pytest.fixture(scope="session")
def installed_run(made_once, as_installed) -> InstalledRun:
    """One run on Ray for all three parts, whose workers find them too; each part's test looks at its own."""

    def make(folder: Path) -> None:
        flags = (*TINY, *FLAGS, "--engine.no-export", "--engine.no-report", "--output-dir", folder / "run")
        for name, done in {
            "printed.txt": as_installed("simulate.py", *flags),
            "exported.txt": as_installed("export_model.py", folder / "run"),
        }.items():
            assert done.returncode == 0, done.stdout + done.stderr
            (folder / name).write_text(done.stdout)

    folder = made_once("installed", make)
    return InstalledRun(folder / "run", *((folder / name).read_text() for name in ("printed.txt", "exported.txt")))
