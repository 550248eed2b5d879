"""The ServerApp of `flwr run`: what is refused is refused as by the script, in one line of Flower's log."""

import json
import logging
import os
import re
import sys
import threading

import pytest
from flwr.app import Context, RecordDict

from simulation.engine.failures import EngineError
from simulation.flags import parse_simulate, to_toml
from simulation.server_app import RunFailedError, app
from tests.simulation.conftest import WEIGHTS_ONLY
from tests.simulation.engine_in_process import GridInProcess
from typefleet.errors import ConfigError, InputError, expected


def start_with(grid=None, **run_config):
    config = {key.replace("_", "-"): value for key, value in run_config.items()}
    app(grid or GridInProcess(), Context(0, 1, {}, RecordDict(), config))


def hashes(run):
    return [json.loads(line)["weights_sha256"] for line in (run / "rounds.jsonl").read_text().splitlines()]


@pytest.fixture(autouse=True)
def usual_tracebacks(monkeypatch):
    monkeypatch.setattr(sys, "tracebacklimit", 1000, raising=False)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"rounds": -3}, "--rounds: expected a number >= 1, found -3"),
        ({"config": "/no/such/file.toml"}, "/no/such/file.toml: expected .* found no such file or directory"),
        (
            {"cohort.goal": 9_000},
            "--cohort.goal: expected at most the fleet's .* phones, found 9000; a larger .*",
        ),
        ({"resume": "/no/such/run"}, "/no/such/run: expected the folder of a run, found no such folder"),
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


class FailingGrid(GridInProcess):
    """Its machines are gone once so many messages to train were answered."""

    def __init__(self, answers):
        super().__init__()
        self.left = answers

    def push_messages(self, messages):
        self.left -= sum(message.metadata.message_type == "train" for message in messages)
        if self.left < 0:
            raise EngineError(expected("the hosts", "answers within 1 s", "none to 1 messages"))
        return super().push_messages(messages)


@pytest.mark.slow
def test_a_run_that_failed_is_resumed_to_the_weights_of_the_script(straight, tmp_path):
    folder, config = tmp_path / "run", tmp_path / "run.toml"
    config.write_text(to_toml(parse_simulate([str(flag) for flag in WEIGHTS_ONLY]).run))
    with pytest.raises(RunFailedError, match=r"^the hosts: expected answers within 1 s, found none") as failed:
        start_with(FailingGrid(2), config=str(config), output_dir=str(folder))
    assert len(hashes(folder)) == 2 and not isinstance(failed.value, RuntimeError)  # Flower shows no RuntimeError
    start_with(resume=str(folder))
    assert hashes(folder) == hashes(straight[0]) and len(hashes(folder)) == 3


def test_a_run_that_nobody_is_left_to_read_stops_and_can_go_on(tmp_path, monkeypatch):
    folder, config = tmp_path / "run", tmp_path / "run.toml"
    given = (*WEIGHTS_ONLY, "--rounds", 6, "--privacy.noise-source", "secret", "--evaluation.every-rounds", 6)
    config.write_text(to_toml(parse_simulate([str(flag) for flag in given]).run))
    reader, writer = os.pipe()

    def leave_after_a_round():
        with os.fdopen(reader) as told:
            while not told.readline().startswith("round"):
                pass

    leaving = threading.Thread(target=leave_after_a_round)
    leaving.start()
    with os.fdopen(writer, "w") as gone:
        monkeypatch.setattr(sys, "stdout", gone)
        start_with(config=str(config), output_dir=str(folder))
    leaving.join()
    assert 1 <= len(hashes(folder)) < 6 and (folder / "noise_secret").exists()
    assert not (folder / "participation.json").exists() and not (folder / "model" / "weights.npz").exists()
