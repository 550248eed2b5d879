"""A run without Ray, small and whole, whose report the tests look at."""

import shutil
import subprocess
import sys

import pytest

from tests.conftest import ROOT
from tests.simulation.conftest import TINY


@pytest.fixture(scope="session")
def whole_run(made_once):
    """Folder of a run that has ended and was exported; not to be written into."""

    def simulate(folder):
        command = [sys.executable, "-m", "tests.simulation.engine_in_process", *map(str, TINY)]
        command += ["--evaluation.every-rounds", "1", "--output-dir", str(folder / "run")]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)
        assert done.returncode == 0, done.stderr
        (folder / "printed.txt").write_text(done.stdout)

    return made_once("run-in-process", simulate) / "run"


@pytest.fixture
def run_copy(whole_run, tmp_path):
    """A copy of that folder, without the report."""
    folder = shutil.copytree(whole_run, tmp_path / "run")
    (folder / "report.html").unlink()
    return folder
