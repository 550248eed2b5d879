"""Canaries among phones that train: what is released is their sum, and what is broken on purpose is caught there."""

from dataclasses import replace

import numpy as np
import pytest

import simulation.studies.audits.canaries_trained as canaries_trained
from client_model.config import DataConfig, ModelConfig, TrainingConfig
from server_strategy.config import CohortConfig
from server_strategy.optimizers.config import ServerOptimizerConfig
from server_strategy.privacy.config import PrivacyConfig
from server_strategy.update_sum import l2_norm
from simulation.config import RunConfig, settled
from simulation.studies.audits.attack import Subject
from simulation.studies.audits.canaries import Claim, figures
from simulation.studies.audits.canaries_trained import attack, play_among
from simulation.studies.audits.canary_play import as_deployed
from simulation.studies.audits.protected_training import ProtectedTraining
from simulation.studies.audits.table import attacks_on
from simulation.world.config import FleetConfig
from typefleet.errors import ConfigError

GOAL = 20
WHAT = ("all releases", "last model", "at least, whatever the noise", "at least, of Gaussian noise")


NOISED = {"vocabulary_epsilon": "none", "clip_norm": 0.3}


def subject(**privacy):
    privacy = privacy or {"target_epsilon": 8.0, **NOISED}
    config = RunConfig(
        rounds=12,
        fleet=FleetConfig(size=300),
        cohort=CohortConfig(goal=GOAL, min_separation_rounds=4),
        data=DataConfig(format="synthetic", vocabulary_phones=50),
        model=ModelConfig(vocabulary_size=300, embedding_size=8, units=8),
        training=TrainingConfig(learning_rate=2.0, max_sequences=5),
        privacy=PrivacyConfig(**privacy),
        server_optimizer=ServerOptimizerConfig("sgd", 1.0, schedule="constant"),
    )
    return Subject(settled(config))


@pytest.fixture(scope="module")
def played():
    some = subject()
    return some, ProtectedTraining(some, some.prepared.population, "canaries")


@pytest.fixture
def most_are_canaries(monkeypatch):
    monkeypatch.setattr(canaries_trained, "_SHARE", 0.8)


def test_a_release_is_the_sum_of_clipped_updates_and_of_canaries_that_are_in(played, monkeypatch):
    """Of the first round, without noise; the phones that train are found by what is left of the sum."""
    _, training = played
    prepared = training.prepared
    plan = replace(prepared.plan, mechanism=None, noise_multiplier=None, noise_stddev=0.0)
    seen = play_among(training, plan, prepared.config.cohort)
    canaries = (seen.weights[:, 0] * seen.included) @ seen.directions
    left = seen.releases[0] - canaries  # in clip norms
    took_part = prepared.open_world().plan_round(1, np.ones(prepared.fleet.num_phones, bool)).reporters
    updates = list(training.updates(training.start, took_part, 1))
    clipped = np.array([one / max(l2_norm(one), plan.clip_norm) for one in updates])
    training_phones = len(took_part) - int((seen.weights[:, 0] > 0).sum())
    assert 0 < training_phones < len(took_part) == GOAL
    counts, *_ = np.linalg.lstsq(clipped.T, left, rcond=None)
    moved = seen.releases.sum(axis=0) * plan.clip_norm / GOAL
    np.testing.assert_allclose(seen.last_model, moved, atol=1e-5)
    assert sorted(counts.round(3)) == pytest.approx([0] * (GOAL - training_phones) + [1] * training_phones, abs=2e-3)


def test_the_claim_stands_among_phones_that_train_and_half_of_the_noise_is_caught(most_are_canaries):
    """Of a modelled deployment, whose run has a small part of the noise."""
    some = subject(noise_multiplier=1.0, modelled_cohort=5000, **NOISED)
    told = {one.name.removeprefix("canaries-trained: "): one for one in attack(some)}
    every, alone = told["all releases"], told["this run by itself"]
    assert list(told) == [*WHAT, "this run by itself"] and all(told[what].holds for what in WHAT)
    assert every.bound == pytest.approx(some.prepared.plan.epsilon, rel=0.1) and every.value > every.bound / 2
    assert alone.bound is None and alone.value > 50 and "recall of the last model" in alone.why
    training = ProtectedTraining(some, some.prepared.population, "canaries")
    assert every.details["dimension"] == training.shape.num_weights
    plan, cohort = as_deployed(some.prepared.plan, some.prepared.config.cohort)
    halved = play_among(training, replace(plan, noise_stddev=plan.noise_stddev / 2), cohort)
    assert next(figures(halved, Claim(epsilon=every.bound, delta=plan.delta, is_of=""))).holds is False


def test_without_noise_nothing_is_played():
    (one,) = attack(subject(mechanism="none"))
    assert one.name == "canaries-trained: all releases" and one.value is None and "no epsilon is finite" in one.why


def test_a_quick_audit_leaves_it_out():
    some = subject()
    in_full = attacks_on(some)
    assert "canaries-trained" in in_full
    assert attacks_on(replace(some, quick=True)) == tuple(name for name in in_full if name != "canaries-trained")
    with pytest.raises(ConfigError, match="--attacks canaries-trained: expected no --quick"):
        attacks_on(replace(some, quick=True), ("canaries-trained",))
