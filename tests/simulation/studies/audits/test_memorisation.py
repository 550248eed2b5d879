"""Phones write secrets, a small model is trained and exported, and the file is asked for them."""

import json

import pytest

from client_model.config import DataConfig, ModelConfig, TrainingConfig
from server_strategy.config import CohortConfig
from server_strategy.optimizers.config import ServerOptimizerConfig
from server_strategy.privacy.config import PrivacyConfig
from simulation.config import RunConfig, settled
from simulation.studies.audits.attack import Attack, Subject
from simulation.studies.audits.memorisation import CELLS, START, as_attacks, memorisation, most_bits, remember
from simulation.studies.audits.table import draw
from simulation.studies.audits.update_sums import CLIPPED, SUM
from simulation.world.config import FleetConfig


def subject(phones, epochs=30):
    config = RunConfig(
        fleet=FleetConfig(size=phones),
        cohort=CohortConfig(goal=2),
        data=DataConfig(format="synthetic", vocabulary_phones=50),
        model=ModelConfig(vocabulary_size=300, embedding_size=16, units=24, sequence_length=10),
        training=TrainingConfig(learning_rate=4.0, max_sequences=20, epochs=epochs),
        privacy=PrivacyConfig(mechanism="none"),
        server_optimizer=ServerOptimizerConfig("sgd", learning_rate=1.0, schedule="constant"),
    )
    return Subject(settled(config), quick=True)


@pytest.fixture(scope="module")
def attacked():
    some = subject(90)
    return some, remember(some)


@pytest.mark.slow
def test_what_many_phones_wrote_often_is_remembered(attacked):
    _, found = attacked
    most = {one.protection: one for one in found if (one.phones, one.times) == CELLS[-1]}
    assert set(most) == {START, SUM, CLIPPED} and len(found) == 3 * len(CELLS)
    assert most[SUM].exposure > most[START].exposure + 2
    assert all(0 <= bits <= most_bits() + 1e-9 for one in found for bits in one.exposures)
    assert all(one.epsilon is None and 0 <= one.recall <= 1 for one in found)
    assert not any(one.said for one in found if one.protection == START)


@pytest.mark.slow
def test_figures_are_attacks_and_a_picture(attacked, tmp_path):
    some, found = attacked
    told = as_attacks(found, some)
    assert [one.name for one in told] == [f"memorisation: {name}" for name in (START, SUM, CLIPPED)]
    read = [Attack.from_json(json.loads(json.dumps(one.to_json())), "a file") for one in told]
    (path,) = draw(tmp_path, read)
    assert path.read_bytes().startswith(b"\x89PNG")
    assert not list(draw(tmp_path, read[1:]))


def test_of_too_few_phones_nothing_is_measured():
    (one,) = memorisation(subject(40))
    assert one.value is None and "too few phones train: 36" in one.why
