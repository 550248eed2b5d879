"""A local optimizer in one file: by object, by name, up to a run, its resume and its workers."""

import io
from dataclasses import dataclass
from typing import Annotated

import numpy as np
import pytest
from annotated_types import Ge

from client_model.learning.local_optimizers.door import LOCAL_OPTIMIZERS
from client_model.learning.local_optimizers.proximal import Proximal
from client_model.learning.local_optimizers.sgd import Sgd
from simulation.api import resume, simulate
from simulation.config import check
from simulation.engine.host_task import HostTask
from simulation.flags import parse_simulate, read_config, to_toml
from simulation.parts import Parts
from simulation.run.preparation import prepare
from tests.simulation.conftest import WEIGHTS_ONLY
from tests.simulation.engine_in_process import EngineInProcess
from typefleet.doors import Kind, KindSettings
from typefleet.errors import ConfigError, TypefleetError


@dataclass(frozen=True)
class Halved(KindSettings):
    """Steps of a share of the gradient."""

    share: Annotated[float, Ge(0)] = 0.5
    """Of the gradient."""

    def initial_state(self, received):
        return []

    def step(self, weights, gradients, received, state, learning_rate):
        return [w - self.share * learning_rate * g for w, g in zip(weights, gradients, strict=True)], state


KIND = Kind("halved", "steps of a share of the gradient", make=lambda settings: settings, settings=Halved)
FLAGS = ("--training.optimizer", "halved", "--training.share", "0.25")


@pytest.fixture
def registered():
    """The optimizer is known by its name while the test runs."""
    with LOCAL_OPTIMIZERS.lend(KIND):
        yield


def config_of(*flags, folder=None):
    where = () if folder is None else ("--output-dir", str(folder))
    return parse_simulate([*map(str, (*WEIGHTS_ONLY, *flags)), *where]).run


def weights_of(result):
    return result.summary["weights_sha256"]


def test_its_settings_are_flags_and_keys_with_it_alone(registered, tmp_path):
    config = parse_simulate(FLAGS).run
    assert config.training.make_optimizer() == Halved(0.25) and "share = 0.25" in to_toml(config)
    (tmp_path / "run.toml").write_text(to_toml(config))
    assert parse_simulate(["--config", str(tmp_path / "run.toml")]).run == config
    with pytest.raises(ConfigError, match=r"--training.share: expected only with --training.optimizer halved"):
        parse_simulate(["--training.share", "1"])
    with pytest.raises(ConfigError, match=r"--training.share: expected a number >= 0, found -1"):
        parse_simulate(["--training.optimizer", "halved", "--training.share", "-1"])


def test_a_name_that_nobody_registered_is_refused():
    with pytest.raises(ConfigError, match=r"--training.optimizer: expected one of sgd, .*, found 'halved'"):
        parse_simulate(FLAGS)


@pytest.mark.parametrize("flags", [(), ("--training.optimizer", "proximal", "--training.proximal-weight", "0.3")])
def test_workers_make_the_same_one_by_its_name(flags):
    task = prepare(config_of(*flags)).task
    again = HostTask.from_json(task.to_json())
    assert again.local_optimizer == task.local_optimizer and again.training == task.training
    assert not again.handed_in


class Empty(Halved):
    """Is no less an optimizer."""

    def __len__(self):
        return 0


def test_one_that_is_false_as_an_empty_list_is_is_not_passed_over():
    task = prepare(config_of(), parts=Parts(local_optimizer=Empty(0.25))).task
    assert HostTask.from_json(task.to_json()).local_optimizer.share == 0.25 and task.kernel == "tensorflow"


def test_workers_are_sent_what_they_cannot_find_by_name(registered):
    by_name = HostTask.from_json(prepare(config_of(*FLAGS)).task.to_json())
    by_object = HostTask.from_json(prepare(config_of(), parts=Parts(local_optimizer=Halved(0.25))).task.to_json())
    assert by_name.local_optimizer == by_object.local_optimizer == Halved(0.25)
    assert by_name.kernel == by_object.kernel == "tensorflow"


def test_a_run_by_object_is_the_run_by_name_and_goes_on_with_it_alone(registered, tmp_path):
    by_name = simulate(config_of(*FLAGS, folder=tmp_path / "name"), progress=None, engine=EngineInProcess())
    plain = config_of("--engine.kernel", "tensorflow", folder=tmp_path / "sgd")
    other = simulate(plain, progress=None, engine=EngineInProcess())
    assert weights_of(by_name) != weights_of(other)
    assert read_config(tmp_path / "name" / "config.toml").engine.kernel == "tensorflow"

    stopped = simulate(
        config_of(folder=tmp_path / "object"),
        local_optimizer=Halved(0.25),
        progress=None,
        engine=EngineInProcess(),
        on_round=lambda record: record.round == 2,
    )
    assert not stopped.finished
    for parts, found in (({}, "none"), ({"local_optimizer": Halved(0.5)}, "0.5")):
        with pytest.raises(ConfigError, match=f"the parts that it began with handed in, .*found .*{found}"):
            resume(stopped.path, progress=None, engine=EngineInProcess(), **parts)
    resumed = resume(stopped.path, local_optimizer=Halved(0.25), progress=None, engine=EngineInProcess())
    assert weights_of(resumed) == weights_of(by_name)


def test_no_hold_at_all_comes_near_to_plain_sgd(tmp_path):
    runs = [
        simulate(
            config_of("--engine.kernel", "tensorflow", *more, folder=tmp_path / name),
            progress=None,
            engine=EngineInProcess(),
        )
        for name, more in (
            ("sgd", ()),
            ("proximal", ("--training.optimizer", "proximal", "--training.proximal-weight", "0")),
        )
    ]
    one, other = (np.load(run.path / "model" / "weights.npz") for run in runs)
    for name in one.files:
        np.testing.assert_allclose(one[name], other[name], atol=1e-4)


class Broken(Halved):
    """Gives the weights alone."""

    def step(self, weights, gradients, received, state, learning_rate):
        return weights


@pytest.mark.parametrize(
    ("part", "message"),
    [
        ("halved", "a name belongs in RunConfig's training.optimizer"),
        (Halved, "hand in an object of it"),
        (object(), "without initial_state, step"),
        (Broken(), "local optimizer Broken: expected weights"),
    ],
)
def test_what_is_none_is_refused_before_anything_is_written(part, message, tmp_path):
    with pytest.raises(TypefleetError, match=message):
        simulate(config_of(folder=tmp_path / "run"), local_optimizer=part, progress=io.StringIO())
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("at_once", "said"),
    [
        (("--engine.phones-at-a-time", "2"), "--engine.phones-at-a-time"),
        (("--engine.device", "gpu"), "--engine.device gpu"),
    ],
)
def test_phones_at_once_take_plain_steps_alone(at_once, said):
    with pytest.raises(ConfigError, match=f"^--training.optimizer: expected sgd with {said}, found proximal$"):
        parse_simulate([*at_once, "--training.optimizer", "proximal"])
    config = parse_simulate(at_once).run
    for part in (Proximal(), type("sgd", (Halved,), {})()):
        with pytest.raises(
            ConfigError, match=rf"^--training.optimizer: expected sgd with .*, found {type(part).__name__}$"
        ):
            simulate(config, local_optimizer=part, progress=None)
    check(config, Parts(local_optimizer=Sgd()))


def test_the_kernel_in_c_is_not_taken_for_it():
    with pytest.raises(ConfigError, match=r"--engine\.kernel: expected tensorflow for another local optimizer"):
        prepare(config_of("--engine.kernel", "native", "--training.optimizer", "momentum"))
