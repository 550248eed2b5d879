"""The ServerApp of `flwr run`: what is refused is refused as by the script, in one line of Flower's log."""

import logging
import re
import sys

import pytest
from flwr.app import Context, RecordDict

from simulation.server_app import app
from tests.simulation.engine_in_process import GridInProcess
from typefleet.errors import ConfigError, InputError


def start_with(**run_config):
    config = {key.replace("_", "-"): value for key, value in run_config.items()}
    app(GridInProcess(), Context(0, 1, {}, RecordDict(), config))


@pytest.fixture(autouse=True)
def usual_tracebacks(monkeypatch):
    monkeypatch.setattr(sys, "tracebacklimit", 1000, raising=False)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"rounds": -3}, "--rounds: expected a number >= 1, found -3"),
        ({"config": "/no/such/file.toml"}, "/no/such/file.toml: expected .* found No such file or directory"),
        ({"cohort.goal": 9_000}, "--cohort.goal: expected at most the fleet's .* phones, found 9000"),
        ({"resume": "/no/such/run"}, "/no/such/run/config.toml: expected .* found No such file or directory"),
    ],
)
def test_a_setting_that_is_refused_is_one_line_of_the_log(given, message):
    with pytest.raises(InputError, match=f"^{message}$") as refused:
        start_with(**given)
    logged = logging.Formatter().formatException((refused.type, refused.value, refused.value.__traceback__))
    assert re.fullmatch(rf"[\w.]+: {message}", logged)  # the class and what it says, and no line of ours above it


def test_what_stands_for_nothing_is_left_out(tmp_path):
    """Flower passes on all keys of pyproject.toml, the empty ones too."""
    (tmp_path / "something").touch()
    with pytest.raises(ConfigError, match="--output-dir"):
        start_with(config="", resume="", output_dir=str(tmp_path), rounds=0)
