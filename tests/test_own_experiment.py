"""docs/how-to/own-experiment.md: its lines run as they stand there, with a smaller model and fewer rounds."""

import re
import sys
import tomllib
from dataclasses import replace
from functools import partial
from importlib.metadata import EntryPoint, EntryPoints
from types import ModuleType

import pytest

import typefleet
from simulation.flags import parse_simulate
from simulation.studies.sweeps.study_file import read_study
from tests.conftest import ROOT
from tests.simulation.conftest import WEIGHTS_ONLY
from tests.simulation.engine_in_process import EngineInProcess
from typefleet import OPTIMIZERS, Kind, doors, simulate

PAGE = (ROOT / "docs" / "how-to" / "own-experiment.md").read_text(encoding="utf-8")
PYTHON, TOML = (re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL) for language in ("python", "toml"))


@pytest.fixture
def small(monkeypatch, tmp_path):
    """The page's names, of runs that take a second."""
    ready = parse_simulate([*map(str, WEIGHTS_ONLY), "--evaluation.every-rounds", "1"]).run
    monkeypatch.setattr(typefleet, "RunConfig", partial(replace, ready), raising=False)
    quick = partial(simulate, engine=EngineInProcess(), progress=None)
    monkeypatch.setattr(typefleet, "simulate", quick, raising=False)
    monkeypatch.chdir(tmp_path)
    module = ModuleType("my_parts")
    monkeypatch.setitem(sys.modules, "my_parts", module)  # where dataclasses look
    return module


def test_the_lines_of_python_run(small, capsys):
    assert len(PYTHON) == 4 and "rounds=20" in PYTHON[0] and '- best["round"] >= 5' in PYTHON[1]
    lines = "\n".join(PYTHON).replace("rounds=20", "rounds=6").replace('- best["round"] >= 5', '- best["round"] >= 0')
    exec(compile(lines, "own-experiment.md", "exec"), vars(small))
    assert small.mine.summary["handed_in"] == {"server_optimizer": "my_parts.Forgetful(keep=0.9, tau=0.001)"}
    assert small.mine.summary["weights_sha256"] != small.ours.summary["weights_sha256"]
    assert not small.stopped.finished and small.stopped.summary["rounds_completed"] == 1
    said = capsys.readouterr().out
    assert "False 1\n" in said and "(6, " in said  # stopped after a round; the loss of the last of six
    assert [group.label for group in small.found.groups] == ["none of them", "my_parts.Forgetful(keep=0.9, tau=0.001)"]


def test_the_study_finds_the_part_by_the_package(small, tmp_path, monkeypatch):
    package, study = TOML
    ((group, points),) = tomllib.loads(package)["project"]["entry-points"].items()
    assert group == OPTIMIZERS.group and points == {"forgetful": "my_parts:KIND"}
    exec(compile(PYTHON[0].partition("config =")[0], "own-experiment.md", "exec"), vars(small))
    small.KIND = Kind("forgetful", "forgets", make=lambda settings: small.Forgetful())
    (point,) = (EntryPoint(name, place, group) for name, place in points.items())
    monkeypatch.setattr(doors, "_all_entry_points", lambda: EntryPoints([point]))
    monkeypatch.setattr(OPTIMIZERS, "_kinds", dict(OPTIMIZERS._kinds))
    (tmp_path / "study.toml").write_text(study)
    found = read_study(tmp_path / "study.toml")
    found.write_settings(tmp_path / "base.toml")
    configs = [found.config_of(setting, tmp_path / "base.toml", 0) for setting in found.grid()]
    assert [config.server_optimizer.name for config in configs] == ["adam", "adam", "forgetful", "forgetful"]
