"""What whoever holds released sums of several runs can make of them: with seeded noise the exact sums, else nothing."""

import secrets

import numpy as np
import pytest

from server_strategy.config import CohortConfig
from server_strategy.privacy.config import PrivacyConfig
from server_strategy.privacy.noise_key import NoiseKey
from server_strategy.privacy.planning import make_privacy_plan
from server_strategy.privacy.protected_sum import ProtectedSum
from tests.server_strategy.test_dp_fedavg import PHONES, flat, make, play, update_of

MECHANISMS = ["gaussian", "tree", "banded", "blt"]
SECRETS = [secrets.token_bytes(32) for _ in range(2)]
SIZE, GOAL, ROUNDS = 4000, 8, 4


def released(mechanism, key, totals, z=1.0):
    """Protected sums of a run: float64 [rounds, SIZE]."""
    cohort = CohortConfig(goal=GOAL, min_separation_rounds=2)
    privacy = PrivacyConfig(mechanism, noise_multiplier=z, clip_norm=1.0)
    protected = ProtectedSum(make_privacy_plan(cohort, privacy, rounds=ROUNDS, num_phones=40), key)
    return np.array([protected.release(total, GOAL, 4) for total in totals])


def keys_of_two_runs(source):
    """Of two runs with the same seed, data and settings."""
    if source == "seeded":
        return NoiseKey.seeded(0), NoiseKey.seeded(0)
    return tuple(NoiseKey.secret(secret, b"the same beginning") for secret in SECRETS)


def exact_sums(rng):
    return rng.normal(0, 0.05, (ROUNDS, SIZE))


def is_found(guess, truth):
    cosine = float(np.vdot(guess, truth) / (np.linalg.norm(guess) * np.linalg.norm(truth)))
    return cosine > 0.5


@pytest.mark.parametrize("mechanism", MECHANISMS)
@pytest.mark.parametrize("source", ["seeded", "secret"])
def test_the_difference_of_two_runs_is_one_phones_updates_only_if_the_noise_repeats(mechanism, source):
    rng = np.random.default_rng(0)
    others, phone = exact_sums(rng), exact_sums(rng)
    first, second = keys_of_two_runs(source)
    difference = released(mechanism, first, others + phone) - released(mechanism, second, others)
    assert is_found(difference, phone) == (source == "seeded")
    if source == "seeded":
        np.testing.assert_allclose(difference, phone, atol=1e-9)


@pytest.mark.parametrize("mechanism", MECHANISMS)
@pytest.mark.parametrize("source", ["seeded", "secret"])
def test_a_sweep_over_the_noise_gives_the_exact_sum_only_if_the_noise_repeats(mechanism, source):
    sums = exact_sums(np.random.default_rng(1))
    first, second = keys_of_two_runs(source)
    weak, strong = released(mechanism, first, sums, 0.5), released(mechanism, second, sums, 2.0)
    solved = (2.0 * weak - 0.5 * strong) / (2.0 - 0.5)
    assert is_found(solved, sums) == (source == "seeded")
    if source == "seeded":
        np.testing.assert_allclose(solved, sums, atol=1e-9)


@pytest.mark.parametrize("mechanism", MECHANISMS)
@pytest.mark.parametrize("source", ["seeded", "secret"])
def test_a_warm_start_cancels_the_noise_only_if_it_repeats(mechanism, source):
    rng = np.random.default_rng(2)
    sums = [exact_sums(rng).sum(0) for _ in range(2)]
    keys = keys_of_two_runs(source)
    before = rng.normal(0, 1, SIZE)
    weights = [before]
    for total, key in zip(sums, keys, strict=True):  # each starts from the other's end
        parts = released(mechanism, key, np.broadcast_to(total / ROUNDS, (ROUNDS, SIZE)))
        weights.append(weights[-1] + parts.sum(0) / GOAL)
    cancelled = (weights[2] - 2 * weights[1] + weights[0]) * GOAL
    assert is_found(cancelled, sums[1] - sums[0]) == (source == "seeded")


def test_a_seed_is_found_by_trying_and_a_secret_is_not():
    sums = np.zeros((1, 20))
    draws = {seed: NoiseKey.seeded(seed).generator(0, 0).standard_normal(20) for seed in range(2000)}
    for key, finds in ((NoiseKey.seeded(777), [777]), (NoiseKey.fresh(), [])):
        seen = key.generator(0, 0).standard_normal(20) + sums[0]
        assert [seed for seed, noise in draws.items() if np.allclose(noise, seen)] == finds


def test_one_secret_in_two_runs_gives_each_noise_of_its_own():
    sums = exact_sums(np.random.default_rng(3))
    one, other = (released("gaussian", NoiseKey.secret(SECRETS[0], to), sums) - sums for to in (b"one", b"other"))
    assert abs(np.corrcoef(one.ravel(), other.ravel())[0, 1]) < 0.05  # 6 standard errors


@pytest.mark.parametrize("mechanism", MECHANISMS)
@pytest.mark.parametrize("source", ["seeded", "secret"])
def test_the_strategy_gives_one_phone_away_only_if_the_noise_repeats(mechanism, source, monkeypatch):
    # The whole of it: two runs of the strategy, in the second of which one phone's update is zero.
    module, keys, ends = "tests.server_strategy.test_dp_fedavg", keys_of_two_runs(source), []
    privacy = PrivacyConfig(mechanism, clip_norm=0.5, noise_multiplier=4.0)
    strategy, _ = make(privacy=privacy)
    phone = int(strategy.cohorts.plan_round(1, np.ones(PHONES, bool)).reporters[0])

    def without_it(one, server_round):
        return update_of(one, server_round) * np.float32(one != phone)

    for key, updates in zip(keys, (update_of, without_it), strict=True):
        monkeypatch.setattr(f"{module}.update_of", updates)
        strategy, grid = make(privacy=privacy, noise=key)
        ends.append(flat(play(strategy, grid, 1)))
    update = update_of(phone, 1).astype(np.float64)
    clipped = update * min(1, 0.5 / np.linalg.norm(update)) / 6
    difference = ends[0] - ends[1]
    assert np.allclose(difference, clipped, atol=1e-6) == (source == "seeded")
