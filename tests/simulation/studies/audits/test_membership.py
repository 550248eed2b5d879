"""Phones take part by the toss of a coin, and models are asked who did; then a run that the engine made is."""

import json
from dataclasses import asdict, replace
from types import SimpleNamespace

import numpy as np
import pytest

import simulation.studies.audits.membership_of_run as membership_of_run_module
from client_model.config import TrainingConfig
from client_model.learning.language_model import unflatten
from client_model.text.batches import sequence_table
from client_model.text.population import phone_labels
from server_strategy.config import CohortConfig
from server_strategy.optimizers.config import ServerOptimizerConfig
from server_strategy.privacy.config import PrivacyConfig
from server_strategy.privacy.ledger_lines import decode_labels
from simulation.config import RunConfig, settled
from simulation.flags import read_config
from simulation.run.checkpoint import CheckpointError, load_newest_checkpoint
from simulation.studies.audits.attack import Attack, Subject
from simulation.studies.audits.membership import Effort, as_attacks, infer, membership
from simulation.studies.audits.membership_of_run import FILE, RUN, START, members_of, membership_of_run
from simulation.studies.audits.membership_shadows import CALIBRATED, LOSS, SHADOWS
from simulation.studies.audits.protected_training import ProtectedTraining
from simulation.studies.audits.table import draw
from simulation.studies.audits.update_sums import CLIPPED, DEPLOYMENT, SUM, Protection
from simulation.world.config import FleetConfig


def subject(phones, **privacy):
    config = RunConfig(
        fleet=FleetConfig(size=phones),
        cohort=CohortConfig(goal=2),
        training=TrainingConfig(learning_rate=2.0, max_sequences=12, epochs=3),
        privacy=PrivacyConfig(**(privacy or {"mechanism": "none"})),
        server_optimizer=ServerOptimizerConfig("sgd", learning_rate=1.0, schedule="constant"),
    )
    return Subject(settled(config), quick=True)


@pytest.fixture(scope="module")
def attacked():
    some = subject(95, noise_multiplier=1.0)  # 85 train
    training = ProtectedTraining(some, some.prepared.population, "membership")
    return training, infer(training, Effort(rounds=2, shadows=2))


def test_models_know_their_members_until_noise_hides_them(attacked):
    training, found = attacked
    assert [(one.model, one.score) for one in found] == [
        (model, score) for model in (SUM, CLIPPED, DEPLOYMENT) for score in (LOSS, CALIBRATED, SHADOWS)
    ]
    area = {(one.model, one.score): one.area for one in found}
    assert area[SUM, SHADOWS].low > 0.8 and area[SUM, SHADOWS].mean > area[SUM, CALIBRATED].mean > area[SUM, LOSS].mean
    assert area[CLIPPED, SHADOWS].low > 0.7 and area[DEPLOYMENT, SHADOWS].low < 0.6
    assert all(one.members + one.others == 80 and 25 < one.members < 55 for one in found)
    attacks = as_attacks(found, training.subject)
    bounded = [one for one in attacks if one.bound is not None]
    assert len(attacks) == 12 and all(one.name.startswith(f"membership: {DEPLOYMENT}") for one in bounded)
    assert len(bounded) == 2 and all(one.holds for one in bounded)  # so few others show no rate of 1 %
    assert "AUC of each score: loss" in attacks[0].why


def test_phones_that_are_out_send_nothing(attacked):
    training, _ = attacked
    phones = training.prepared.training_phones[:8]
    order, protection = phones.reshape(2, 4), Protection(SUM)
    nobody = training.trained(order, protection, sends=np.zeros((2, 4), np.bool_), goal=4)
    assert np.array_equal(nobody, training.start)
    some = np.array([[1, 0, 1, 0], [0, 0, 1, 1]], np.bool_)
    halves = training.trained(order, protection, sends=some, goal=2)
    alone = training.trained(order[some].reshape(2, 2), protection)
    np.testing.assert_allclose(halves, alone, atol=1e-6)


def test_a_loss_is_that_of_training_that_does_not_move(attacked):
    """One phone's mean over what a round trains on, where that is all it has."""
    training, _ = attacked
    lengths, most = training.prepared.population.message_lengths, training.prepared.config.training.max_sequences
    sequences = {p: len(sequence_table(lengths(p), 20).length) for p in training.prepared.training_phones.tolist()}
    few = np.array([phone for phone, number in sequences.items() if number <= most][:3])
    assert len(few) > 0
    losses = training.losses(training.start, few)
    received = training.host.load(unflatten(training.start, training.shape))
    for phone, loss in zip(few.tolist(), losses, strict=True):
        batches = training.host.read(phone, 1)
        still = training.host.trainer.train(received, batches, 0.0)
        assert loss == pytest.approx(still.loss_sum / still.num_tokens, rel=1e-5)


def test_figures_are_attacks_and_a_picture(attacked, tmp_path):
    training, found = attacked
    attacks = as_attacks(found, training.subject)
    attacks[0] = replace(attacks[0], details={"inferred": [asdict(one) for one in found]})
    read = [Attack.from_json(json.loads(json.dumps(one.to_json())), "a file") for one in attacks]
    (path,) = draw(tmp_path, read)
    assert path.read_bytes().startswith(b"\x89PNG") and path.stat().st_mode & 0o077 == 0
    assert not list(draw(tmp_path, read[1:]))


def test_of_too_few_phones_nothing_is_measured():
    (one,) = membership(subject(80))
    assert one.value is None and "too few phones train: 72" in one.why


# A run ---------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def run(made_once):
    from tests.simulation.engine_in_process import simulate

    flags = (
        *("--rounds", 5, "--cohort.goal", 10, "--fleet.size", 300, "--data.held-out-share", 0.3),
        *("--training.learning-rate", 2, "--training.max-sequences", 12, "--training.epochs", 3),
        *("--server-optimizer.name", "sgd", "--server-optimizer.learning-rate", 1.0),
        *("--privacy.noise-multiplier", 1, "--privacy.modelled-cohort", 10_000, "--privacy.noise-source", "seeded"),
        *("--engine.no-export", "--engine.no-report", "--tracking.trackers"),
    )
    folder = made_once("run-with-members", lambda at: simulate([*map(str, flags), "--output-dir", str(at / "run")]))
    return Subject(read_config(folder / "run" / "config.toml"), run_dir=folder / "run")


def test_members_are_those_whom_the_ledger_names(run):
    members = members_of(run, run.run_dir)
    salt = load_newest_checkpoint(run.run_dir / "checkpoints")[0].about["salt"]
    lines = [json.loads(line) for line in (run.run_dir / "privacy_ledger.jsonl").read_text().splitlines()]
    labels = np.concatenate([decode_labels(line["participants"]) for line in lines if "participants" in line])
    label_of = [int(label, 16) for label in phone_labels(salt, run.prepared.digests)]
    named = set(np.flatnonzero(np.isin(np.array(label_of, np.uint64), labels)).tolist())
    assert named == set(members.tolist()) and 20 <= len(named) <= 50
    assert not named & set(run.prepared.held_out_phones.tolist())


@pytest.mark.slow
def test_a_run_tells_who_was_a_member_and_its_file_too(run):
    training = ProtectedTraining(run, run.prepared.population, "membership")
    found, attacks = membership_of_run(training, run.run_dir, rounds=2, shadows=2)
    assert {one.model for one in found} == {START, RUN, FILE}
    area = {(one.model, one.score): one.area for one in found}
    assert area[RUN, SHADOWS].low > 0.55
    assert area[FILE, SHADOWS].mean == pytest.approx(area[RUN, SHADOWS].mean, abs=0.02)  # whose losses are near
    assert area[START, LOSS].low < 0.6  # they differ in little else
    assert {one.bound for one in attacks} == {None} and "modelled deployment" in attacks[0].bound_is
    assert [one.name for one in attacks[::4]] == [f"membership: {RUN} (AUC)", f"membership: {FILE} (AUC)"]
    assert f"which know nobody: {area[START, LOSS].mean:.3f}" in attacks[0].why


def test_a_run_without_checkpoints_or_with_few_people_is_not_measured(run, tmp_path, monkeypatch):
    training = SimpleNamespace(subject=run)
    found, (one,) = membership_of_run(training, tmp_path, rounds=2, shadows=2)
    assert not found and one.value is None and "expected a checkpoint, found none" in one.why
    monkeypatch.setattr(membership_of_run_module, "members_of", lambda *_: np.arange(5))
    found, (one,) = membership_of_run(training, run.run_dir, rounds=2, shadows=2)
    assert not found and one.value is None and "5 members and 90 others" in one.why
    with pytest.raises(CheckpointError, match="expected"):
        members_of(run, tmp_path)
