"""A run without Ray, small and whole, whose report the tests look at."""

import pickle
import shutil

import pytest

from simulation.report import charts, figures, times
from tests.simulation.conftest import TINY, simulated


@pytest.fixture(scope="session")
def whole_run(made_once):
    """Folder of a run that has ended and was exported; not to be written into."""

    def simulate(folder):
        from tests.simulation.engine_in_process import EngineInProcess

        flags = (*TINY, "--evaluation.every-rounds", 1, "--engine.profile", "--output-dir", folder / "run")
        (folder / "printed.txt").write_text(simulated(EngineInProcess(), flags))

    return made_once("run-in-process", simulate) / "run"


@pytest.fixture
def run_copy(whole_run, tmp_path):
    """A copy of that folder, without the report."""
    folder = shutil.copytree(whole_run, tmp_path / "run")
    (folder / "report.html").unlink()
    return folder


def _kept(draw):
    """As `draw`, but what was drawn of the same values once is not drawn again."""
    drawings = {}

    def drawn(*values, **named):
        key = pickle.dumps((values, named))
        if key not in drawings:
            drawings[key] = draw(*values, **named)
        return drawings[key]

    return drawn


DRAWN_ONCE = {
    figures: {draw.__name__: _kept(draw) for draw in (charts.line_chart, charts.bar_chart)},
    times: {draw.__name__: _kept(draw) for draw in (charts.lane_chart, charts.stacked_bars)},
}


@pytest.fixture(autouse=True)
def drawn_once(monkeypatch):
    """Most pages differ in a sentence. That the same values give the same drawing is tested in test_charts.py."""
    for module, drawn in DRAWN_ONCE.items():
        for name, draw in drawn.items():
            monkeypatch.setattr(module, name, draw)
