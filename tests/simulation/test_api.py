"""What `simulate` and `resume` refuse before they read any data; what runs is tested in `test_runs` and per door."""

import io
from dataclasses import dataclass, replace

import numpy as np
import pytest

from client_model.learning.cells.lstm import Lstm
from client_model.text.formats.by_ending import NoFile
from server_strategy.optimizers.momentum import Momentum
from server_strategy.optimizers.sgd import Sgd
from server_strategy.privacy.mechanisms.blt import BufferedSettings
from server_strategy.privacy.mechanisms.gaussian import IndependentNoise
from server_strategy.privacy.mechanisms.tree import TreeNoise
from simulation import audit_trail
from simulation.api import resume, simulate
from simulation.flags import parse_simulate, settled
from simulation.parts import Parts
from simulation.run.directory import RunDirectory
from simulation.unused import refuse_replaced
from simulation.world.availability.base import WorldFacts
from simulation.world.availability.model import AvailabilityModel, Habits
from simulation.world.devices import Devices
from tests.simulation.conftest import WEIGHTS_ONLY
from tests.simulation.engine_in_process import EngineInProcess
from typefleet import CohortConfig, FleetConfig, ModelConfig, PrivacyConfig, RunConfig, ServerOptimizerConfig
from typefleet.errors import ConfigError


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"config": {}}, "config: expected a RunConfig, found dict"),
        ({"config": "a.toml"}, "config: expected a RunConfig, found str"),
        ({"cell": "lstm"}, "cell: expected an object with name, .* found 'lstm'; a name belongs in .* model.cell$"),
        ({"server_optimizer": "sgd"}, "found 'sgd'; a name belongs in RunConfig's server_optimizer.name$"),
        ({"mechanism": "blt"}, "found 'blt'; a name belongs in RunConfig's privacy.mechanism$"),
        ({"availability": "model"}, "found 'model'; a name belongs in RunConfig's fleet.availability$"),
        ({"message_format": "csv"}, "found 'csv'; a name belongs in RunConfig's data.format$"),
        ({"metrics": "perplexity"}, "found 'perplexity'; a name belongs in RunConfig's evaluation.metrics$"),
        ({"metrics": ["perplexity"]}, "found 'perplexity'; a name belongs in RunConfig's evaluation.metrics$"),
        ({"metrics": [5]}, "metrics: expected an object with name, counts, value, found int without name, counts"),
        ({"metrics": 5}, "metrics: expected .* found int"),
        ({"on_round": 5}, "on_round: expected a function of a round's record, found int"),
        ({"devices": 5}, "devices: expected an object with train_s_per_token, .* found int without"),
        ({"engine": 5}, "engine: expected an object with start, run, end_soon, found int without"),
        ({"progress": True}, "progress: expected an object with write, flush, found bool without"),
        ({"cell": Lstm}, "cell: expected .* found the class Lstm itself; hand in an object of it$"),
        ({"server_optimizer": Sgd}, "server_optimizer: expected .* found the class Sgd itself"),
        ({"mechanism": IndependentNoise}, "mechanism: expected .* found the class IndependentNoise itself"),
    ],
)
def test_what_is_no_part_is_refused_in_one_line(given, message):
    with pytest.raises(ConfigError, match=message):
        simulate(**given)
    if "config" not in given:
        with pytest.raises(ConfigError, match=message):
            resume("runs/none", **given)


def test_a_run_is_resumed_by_its_folder():
    with pytest.raises(ConfigError, match="path: expected the folder of a run, found int"):
        resume(5)


MODEL_AVAILABILITY = AvailabilityModel(Habits(), WorldFacts(10, 0))


@pytest.mark.parametrize(
    ("settings", "part", "flag", "what"),
    [
        ({"privacy": PrivacyConfig("blt")}, {"mechanism": TreeNoise(8)}, "privacy.mechanism", "noise mechanism"),
        ({"privacy": PrivacyConfig("none")}, {"mechanism": TreeNoise(8)}, "privacy.mechanism", "noise mechanism"),
        (
            {"server_optimizer": ServerOptimizerConfig("momentum", settings=Momentum(0.5))},
            {"server_optimizer": Sgd()},
            "server-optimizer.name",
            "server optimizer",
        ),
        (
            {"fleet": FleetConfig(availability_settings=Habits(session_mean_h=1.0))},
            {"availability": MODEL_AVAILABILITY},
            "fleet.session-mean-h",
            "source of availability",
        ),
        ({"model": ModelConfig(cell="cifg", cell_settings=Lstm())}, {"cell": Lstm()}, None, None),
    ],
)
def test_settings_of_what_an_object_replaces_are_refused(settings, part, flag, what):
    message = f"^--{flag}: expected only without an object in the place of the {what}, found it with$" if flag else None
    with pytest.raises(ConfigError, match=message):
        simulate(RunConfig(**settings), **part)


def test_devices_replace_the_settings_that_they_would_be_drawn_with():
    with pytest.raises(
        ConfigError, match=r"--fleet\.network-log-std: expected only without devices handed in, found it"
    ):
        simulate(RunConfig(fleet=FleetConfig(network_log_std=1.0)), devices=Devices(*np.ones((4, 9))))


def test_a_format_is_handed_in_with_a_file():
    with pytest.raises(ConfigError, match=r"^message_format: expected only with --data\.path, found it without"):
        simulate(message_format=NoFile())


@dataclass(frozen=True)
class Named(Sgd):
    name = "momentum"


def test_a_configuration_at_its_defaults_or_of_the_object_itself_is_taken():
    refuse_replaced(RunConfig(), Parts(mechanism=TreeNoise(8), server_optimizer=Sgd(), availability=MODEL_AVAILABILITY))
    named = RunConfig(server_optimizer=ServerOptimizerConfig("momentum"))
    refuse_replaced(named, Parts(server_optimizer=Named()))
    refuse_replaced(RunConfig(model=ModelConfig(cell="lstm")), Parts(cell=Lstm()))
    refuse_replaced(RunConfig(privacy=PrivacyConfig("blt", BufferedSettings(buffers=2))), Parts())


@pytest.mark.parametrize(("mechanism", "name"), [(TreeNoise(100), "tree"), (IndependentNoise(), "gaussian")])
def test_a_mechanism_has_the_same_noise_by_name_and_as_an_object(mechanism, name):
    by_name, as_object = (
        settled(RunConfig(privacy=PrivacyConfig(name))),
        settled(RunConfig(), Parts(mechanism=mechanism)),
    )
    for field in ("noise_multiplier", "target_epsilon", "modelled_cohort"):
        assert getattr(by_name.privacy, field) == getattr(as_object.privacy, field)


def test_whether_noise_is_independent_is_asked_of_the_object():
    counted = RunConfig(privacy=PrivacyConfig(poisson_counterfactual=True), cohort=CohortConfig())
    assert settled(counted, Parts(mechanism=IndependentNoise()))
    with pytest.raises(ConfigError, match=r"--privacy\.poisson-counterfactual: expected only with"):
        settled(counted, Parts(mechanism=TreeNoise(100)))


@pytest.mark.slow
def test_who_is_told_of_each_round_may_stop_the_run_which_can_go_on(tmp_path):
    config, told = parse_simulate([*map(str, WEIGHTS_ONLY), "--output-dir", str(tmp_path / "run")]).run, []

    def on_round(record):
        told.append((record.round, record.loss))
        return len(told) == 2

    stopped = simulate(config, progress=None, engine=EngineInProcess(), on_round=on_round)
    assert [number for number, _ in told] == [1, 2] and not stopped.finished
    assert [loss for _, loss in told] == stopped.rounds["loss"]
    whole = resume(stopped.path, progress=None, engine=EngineInProcess(), on_round=on_round)
    assert whole.finished and [number for number, _ in told] == [1, 2, 3]
    trail = [line.says for line in audit_trail.FORM.read(whole.path).lines]
    assert [(line.get("command"), line.get("exit_code")) for line in trail] == [
        ("run", None),
        (None, 130),
        ("run", None),
        (None, 0),
    ]


@pytest.mark.parametrize(("answer", "rounds"), [(np.True_, 1), (np.float32(1) > 0, 1), (np.False_, 3), (None, 3)])
def test_a_bool_of_numpy_stops_a_run_as_well(tmp_path, answer, rounds):
    config = parse_simulate([*map(str, WEIGHTS_ONLY), "--output-dir", str(tmp_path / "run")]).run
    result = simulate(config, progress=None, engine=EngineInProcess(), on_round=lambda record: answer)
    assert len(result.rounds["round"]) == rounds and result.finished == (rounds == 3)


def test_an_answer_that_is_neither_yes_nor_no_is_refused(tmp_path):
    config = parse_simulate([*map(str, WEIGHTS_ONLY), "--output-dir", str(tmp_path / "run")]).run
    with pytest.raises(ConfigError, match=r"^on_round: expected True to stop after the round, .*, found str$"):
        simulate(config, progress=None, engine=EngineInProcess(), on_round=lambda record: "stop")
    assert resume(tmp_path / "run", progress=None, engine=EngineInProcess()).finished


@dataclass(frozen=True)
class Scaled(Sgd):
    """An optimizer that no name stands for."""

    share: float = 0.5


def test_what_was_handed_in_stands_in_the_summary_and_the_heading_since_no_name_does(tmp_path):
    config = parse_simulate([*map(str, WEIGHTS_ONLY), "--rounds", "1", "--output-dir", str(tmp_path / "run")]).run
    config = replace(config, server_optimizer=replace(config.server_optimizer, name="adam"))
    said = io.StringIO()
    result = simulate(config, server_optimizer=Scaled(), progress=said, engine=EngineInProcess())
    words = f"{__name__}.Scaled(share=0.5)"
    assert result.summary["handed_in"] == {"server_optimizer": words}
    assert f"handed in   server_optimizer: {words}" in " ".join(said.getvalue().split(" "))
    again = RunDirectory(result.path).read_summary()
    assert again.handed_in == {"server_optimizer": words}
