"""Nobody is told of a run, whichever package is imported first."""

import os
import subprocess
import sys

import pytest
from ray._common.usage import usage_lib

from tests.conftest import ROOT

FIRST = {
    "ours first": "import simulation; import flwr.common.telemetry",
    "Flower first, as the flwr command does": "import flwr.common.telemetry; import simulation.engine",
}
ASK = """
from flwr.common import telemetry
telemetry.urllib.request.urlopen = lambda *_, **__: print("Flower is told") or exit()
print(telemetry.create_event(telemetry.EventType.PING, None))
"""


def reported(first, tmp_path, **environment):
    kept = {name: value for name, value in os.environ.items() if not name.startswith("FLWR_")}
    env = {**kept, "FLWR_HOME": str(tmp_path), "PYTHONPATH": str(ROOT), **environment}
    done = subprocess.run([sys.executable, "-c", f"{first}\n{ASK}"], env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("first", FIRST)
def test_flower_is_told_nothing_whichever_is_imported_first(first, tmp_path):
    assert reported(FIRST[first], tmp_path) == "disabled\n"


def test_who_asks_for_reports_sends_them(tmp_path):
    assert reported(list(FIRST.values())[1], tmp_path, FLWR_TELEMETRY_ENABLED="1") == "Flower is told\n"


def test_ray_which_asks_when_it_starts_is_told_nothing():
    assert not usage_lib.usage_stats_enabled()


@pytest.mark.parametrize(("program", "keeps"), [("run.py", False), ("default_worker.py", True)])
def test_whatever_process_a_run_was_started_by_ray_looks_for_the_runs_own(program, keeps, tmp_path):
    """Where that of another command is named and has ended, Ray ends this one without a word when its raylet dies."""
    path = tmp_path / program
    path.write_text("import os, simulation; print(os.environ['RAY_RAYLET_PID'], os.getpid())")
    env = {**os.environ, "RAY_RAYLET_PID": "1", "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, path], env=env, capture_output=True, text=True, check=True)
    named, own = done.stdout.split()
    assert named == ("1" if keeps else own) and own != "1"
