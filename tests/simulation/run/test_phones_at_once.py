"""Runs whose phones are trained at once: the same bits in any messages, nearly those of one phone after another."""

import io
from dataclasses import replace
from types import SimpleNamespace

import pytest

from client_model.learning.padded_batches import Group
from client_model.learning.trainers import bits_of
from simulation.config import settled
from simulation.config_files import read_config
from simulation.flags import parse_simulate
from simulation.parts import Parts
from simulation.run.directory import RunDirectory
from simulation.run.kernel import trained_in_words
from simulation.start import start
from tests.simulation.conftest import WEIGHTS_ONLY
from tests.simulation.engine_in_process import EngineInProcess
from typefleet.errors import ConfigError

SHORT = (*WEIGHTS_ONLY, "--rounds", 2, "--model.sequence-length", 5, "--model.cell", "gru")


def play(folder, *flags):
    config = replace(parse_simulate([*map(str, SHORT), *map(str, flags)]).run, output_dir=folder)
    run = start(config, Parts(), io.StringIO(), False, EngineInProcess())
    return run.weights.sha256, run.held_out


@pytest.fixture(scope="module")
def together(tmp_path_factory):
    folder = tmp_path_factory.mktemp("together") / "run"
    return folder, *play(folder, "--engine.phones-at-a-time", 3)


def test_the_run_says_that_tensorflow_trained_them(together):
    """Whichever kernel scores, and trains one phone by itself."""
    directory = RunDirectory(together[0])
    assert directory.read_summary().kernel == "tensorflow"
    trained = {(line["kernel"], line["kernel_bits"]) for line in directory.read_rounds()}
    assert trained == {("tensorflow", bits_of("tensorflow"))}


@pytest.mark.parametrize(
    ("group", "said"),
    [
        (None, "in C"),
        (Group(4, 8, "cpu"), "by TensorFlow, 4 phones at once"),
        (Group(64, 8, "gpu"), "by TensorFlow on a GPU, 64 phones at once"),
    ],
)
def test_it_is_said_before_the_first_round_too(group, said):
    assert trained_in_words(SimpleNamespace(kernel="native", group=group)) == said


def test_the_bits_are_the_same_in_any_messages(together, tmp_path):
    _, weights, _ = together
    in_fives = ("--engine.phones-at-a-time", 3, "--engine.devices-per-message", 5)
    assert play(tmp_path / "run", *in_fives)[0] == weights


def test_accuracy_is_nearly_that_of_one_phone_after_another(together, tmp_path):
    _, weights, held_out = together
    others, expected = play(tmp_path / "run")
    assert others != weights  # else it was not another kernel
    for name in ("top1_recall", "top3_recall", "perplexity"):
        assert held_out[name] == pytest.approx(expected[name], rel=1e-3)


@pytest.mark.parametrize("changed", [{"phones_at_a_time": 2}, {"phones_at_a_time": None}])
def test_a_resumed_run_keeps_them(together, changed):
    folder, _, _ = together
    config = settled(read_config(folder / "config.toml"))
    assert config.engine.phones_at_a_time == 3 and config.engine.device == "cpu"
    other = replace(config, output_dir=folder, rounds=3, engine=replace(config.engine, **changed))
    with pytest.raises(ConfigError, match="as it began, since bits depend on them: 3 phones at a time on a cpu, found"):
        start(other, Parts(), io.StringIO(), True, EngineInProcess())
