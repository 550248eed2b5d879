"""A run without Ray, small and whole, whose report the tests look at."""

import shutil

import pytest

from tests.simulation.conftest import TINY, simulated


@pytest.fixture(scope="session")
def whole_run(made_once):
    """Folder of a run that has ended and was exported; not to be written into."""

    def simulate(folder):
        from tests.simulation.engine_in_process import EngineInProcess

        flags = (*TINY, "--evaluation.every-rounds", 1, "--output-dir", folder / "run")
        (folder / "printed.txt").write_text(simulated(EngineInProcess(), flags))

    return made_once("run-in-process", simulate) / "run"


@pytest.fixture
def run_copy(whole_run, tmp_path):
    """A copy of that folder, without the report."""
    folder = shutil.copytree(whole_run, tmp_path / "run")
    (folder / "report.html").unlink()
    return folder
