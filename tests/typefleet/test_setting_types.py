from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

from server_strategy.cohorts import UniformCohorts
from server_strategy.dp_fedavg import DPFedAvg
from server_strategy.privacy.noise_key import NoiseKey
from simulation.config import RunConfig
from simulation.flags import settled
from tests.server_strategy.test_dp_fedavg import make
from typefleet.doors import KindSettings
from typefleet.errors import ConfigError
from typefleet.setting_types import typed

DEFAULT = RunConfig()


def with_one(section, name, value):
    if section is None:
        return replace(DEFAULT, **{name: value})
    return replace(DEFAULT, **{section: replace(getattr(DEFAULT, section), **{name: value})})


@pytest.mark.parametrize(
    ("section", "name", "value", "message"),
    [
        (None, "rounds", 2.5, "--rounds: expected a whole number, found 2.5"),
        (None, "rounds", True, "--rounds: expected a whole number, found True"),
        (None, "rounds", "5", "--rounds: expected a whole number, found '5'"),
        (None, "rounds", None, "--rounds: expected a whole number, found None"),
        (None, "seed", 1.5, "--seed: expected a whole number, found 1.5"),
        (None, "output_dir", 5, "--output-dir: expected a path, found 5"),
        (None, "fleet", {}, "--fleet: expected FleetConfig, found dict"),
        ("engine", "workers", "2", "--engine.workers: expected a whole number, found '2'"),
        ("engine", "profile", 1, "--engine.profile: expected True or False, found 1"),
        ("engine", "address", 5, "--engine.address: expected a text, found 5"),
        ("privacy", "clip_scope", "layers", "--privacy.clip-scope: expected one of update, layer, found 'layers'"),
        ("privacy", "clip_norm", 10**400, "--privacy.clip-norm: expected a number, found a value of type int"),
        ("privacy", "mechanism", [], "--privacy.mechanism: expected a text, found a value of type list"),
        ("privacy", "mechanism_settings", 5, "--privacy.mechanism-settings: expected KindSettings, found int"),
        ("server_optimizer", "schedule", "x", "--server-optimizer.schedule: expected one of constant, linear, cosine,"),
        ("model", "preset", "x", "--model.preset: expected one of small, large, gboard, found 'x'"),
        ("evaluation", "metrics", "recall", "--evaluation.metrics: expected a tuple, found 'recall'"),
        ("fleet", "utc_offsets_h", (1, "x"), "--fleet.utc-offsets-h: expected a number, found 'x'"),
    ],
)
def test_a_setting_of_another_type_is_refused_by_its_flag(section, name, value, message):
    with pytest.raises(ConfigError) as refused:
        settled(with_one(section, name, value))
    assert str(refused.value).startswith(message)


def test_settings_of_a_kind_have_the_flags_of_their_section():
    @dataclass(frozen=True)
    class Own(KindSettings):
        share: float = 0.5
        anything: object = None

    privacy = replace(DEFAULT.privacy, mechanism_settings=Own(anything=object()))
    assert typed(privacy) == privacy
    with pytest.raises(ConfigError, match=r"--privacy\.share: expected a number, found 'x'"):
        typed(replace(DEFAULT, privacy=replace(privacy, mechanism_settings=Own("x"))))


def test_texts_become_paths_and_numbers_pythons():
    data = replace(DEFAULT.data, path="x.jsonl", vocabulary_path="v.txt")
    model = replace(DEFAULT.model, init="weights.npz")
    config = typed(replace(DEFAULT, output_dir="runs/a", rounds=np.int64(3), data=data, model=model))
    assert (config.output_dir, config.data.path, config.data.vocabulary_path, config.model.init) == tuple(
        map(Path, ("runs/a", "x.jsonl", "v.txt", "weights.npz"))
    )
    fleet = typed(replace(DEFAULT.fleet, failure_share=np.float32(0.5), utc_offsets_h=[1, 2.0]))
    assert (type(config.rounds), type(fleet.failure_share), fleet.utc_offsets_h) == (int, float, (1.0, 2.0))
    assert typed(DEFAULT) == DEFAULT


def test_the_strategy_by_itself_refuses_them_too():
    settings = {"privacy": replace(DEFAULT.privacy, noise_multiplier=1.0), "rounds": 3}
    for wrong, flag in (
        ({"privacy": replace(settings["privacy"], clip_scope="layers")}, "--privacy.clip-scope"),
        ({"optimizer": replace(DEFAULT.server_optimizer, schedule="x")}, "--server-optimizer.schedule"),
    ):
        with pytest.raises(ConfigError, match=f"{flag}: expected one of"):
            DPFedAvg(UniformCohorts(6), 40, cohort=make()[0].cohort, noise=NoiseKey.fresh(), **(settings | wrong))
