"""Every mechanism as a stream against its dense matrix, and its cost against exhaustive search."""

import itertools
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from server_strategy.privacy.accounting import gaussian_rho
from server_strategy.privacy.ledger import ParticipationLog, privacy_spent
from server_strategy.privacy.mechanisms.door import MECHANISMS, private_mechanisms
from server_strategy.privacy.mechanisms.record import kind_of, on_record, parameters_of
from server_strategy.privacy.plan import PrivacyPlan
from tests.server_strategy.privacy.mechanisms.dense import CASES, PRIVATE, encoder, make, play, residual_of_draws


@pytest.mark.parametrize(("name", "setting"), CASES)
@pytest.mark.parametrize("rounds", [1, 2, 7, 24])
def test_the_stream_is_the_dense_matrix(name, setting, rounds):
    mechanism = make(name, **setting)
    noise, draws = play(mechanism, rounds, 3)
    np.testing.assert_allclose(noise, residual_of_draws(mechanism, rounds) @ draws, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(("name", "setting"), CASES)
def test_errors_are_those_of_the_dense_matrix(name, setting):
    mechanism = make(name, **setting)
    sums = np.cumsum(residual_of_draws(mechanism, 24), axis=0)
    np.testing.assert_allclose(mechanism.sum_errors(24), (sums**2).sum(1), rtol=1e-9)


@pytest.mark.parametrize(("name", "setting"), CASES)
def test_empirical_covariance_over_rounds(name, setting):
    # 40,000 coordinates: an entry's standard error is below 1 % of the diagonal's largest.
    mechanism = make(name, **setting)
    noise, _ = play(mechanism, 16, 40_000, seed=1)
    residual = residual_of_draws(mechanism, 16)
    expected = residual @ residual.T
    errors = np.abs(noise @ noise.T / noise.shape[1] - expected)
    scale = np.sqrt((np.outer(np.diag(expected), np.diag(expected)) + expected**2) / noise.shape[1])
    assert (errors / scale).max() < 4.5  # standard errors; 136 different entries
    # And not by being far too loose: another mechanism's matrix does not pass.
    assert name == "gaussian" or (np.abs(expected - np.eye(16)) / scale).max() > 20


@pytest.mark.parametrize(("name", "setting"), CASES)
@pytest.mark.parametrize("cut", [0, 1, 6, 13])
def test_a_stream_goes_on_from_its_state_bit_for_bit(name, setting, cut):
    mechanism = make(name, **setting)
    draws = np.random.default_rng(3).standard_normal((24, 8, 4))  # [release, level, size]
    straight, first, second = (mechanism.stream() for _ in range(3))
    expected = [straight.next(lambda level, t=t: draws[t, level]) for t in range(24)]
    for t in range(cut):
        first.next(lambda level, t=t: draws[t, level])
    second.load_state({name: np.array(value) for name, value in first.state().items()})
    for t in range(cut, 24):
        np.testing.assert_array_equal(second.next(lambda level, t=t: draws[t, level]), expected[t])


@pytest.mark.parametrize(("name", "setting"), CASES)
def test_memory_is_what_is_said(name, setting):
    mechanism = make(name, **setting)
    stream = mechanism.stream()
    most = 0
    for _ in range(24):
        stream.next(lambda level: np.zeros(5))
        most = max(most, sum(np.size(value) == 5 for value in stream.state().values()))
    assert most <= mechanism.vectors_of_memory


@pytest.mark.parametrize(("name", "setting"), CASES)
def test_a_ledger_has_all_that_is_needed(name, setting):
    mechanism = make(name, **setting)
    again = on_record(name, json.loads(json.dumps(parameters_of(mechanism))))
    assert again == mechanism and type(again) is type(mechanism)
    assert kind_of(mechanism).name == name


def test_all_kinds_are_tried_here():
    assert {name for name, _ in CASES} == set(PRIVATE) == set(private_mechanisms())
    assert set(MECHANISMS.names) == {*PRIVATE, "none"}


def dense_cost(matrix, rounds):
    """Squared change by a phone that takes part in these rounds."""
    return float((matrix[:, rounds].sum(1) ** 2).sum())


@given(
    st.sampled_from(CASES),
    st.integers(1, 14),
    st.integers(1, 6),
    st.integers(1, 4),
    st.integers(0, 2**32),
    st.floats(0.1, 0.9),
)
@settings(deadline=None, max_examples=100)
def test_no_log_is_claimed_cheaper_than_the_dense_computation(case, rounds, b, k, seed, share):
    """Random phones under random rules, with a plan made for other rules than happened."""
    name, setting = case
    mechanism = make(name, **setting, rounds=rounds, b=b, k=min(k, -(-rounds // b)))
    plan = PrivacyPlan(
        mechanism=mechanism,
        clip_norm=1.0,
        noise_multiplier=1.3,
        noise_stddev=1.3,
        delta=1e-6,
        rounds=rounds,
        goal=3,
        min_separation_rounds=b,
        max_participations=k,
        population=6,
        modelled_cohort=None,
    )
    rng, log, history, last = np.random.default_rng(seed), ParticipationLog(6), [[] for _ in range(6)], 0.0
    for release in range(1, rounds + 1):
        present = np.flatnonzero(rng.random(6) < share)
        log.record(release, present)
        for phone in present:
            history[phone].append(release - 1)
        spent = privacy_spent(plan, log, release)
        matrix = encoder(mechanism, release)
        worst = max(dense_cost(matrix, taken) for taken in history)
        assert spent.zcdp_rho >= gaussian_rho(1.3, worst) * (1 - 1e-12)
        assert spent.zcdp_rho >= last  # what is spent stays spent
        last = spent.zcdp_rho


@given(st.sampled_from(CASES), st.integers(1, 11), st.integers(1, 5), st.integers(1, 3))
@settings(deadline=None, max_examples=60)
def test_planned_cost_is_the_worst_schedule_and_no_more(case, rounds, b, k):
    name, setting = case
    mechanism = make(name, **setting, rounds=rounds, b=b, k=min(k, -(-rounds // b)))
    matrix = encoder(mechanism, rounds)
    worst = max(
        dense_cost(matrix, list(taken))
        for count in range(1, k + 1)
        for taken in itertools.combinations(range(rounds), count)
        if all(y - x >= b for x, y in itertools.pairwise(taken))
    )
    assert mechanism.sensitivity_squared(rounds, b, k) == pytest.approx(worst, rel=1e-9)


def test_expected_order_at_the_published_models_shape():
    rounds, b, k = 2000, 314, 6
    error = {}
    for name in PRIVATE:
        mechanism = make(name, rounds, b, k)
        error[name] = np.sqrt(mechanism.sum_errors(rounds).mean() * mechanism.sensitivity_squared(rounds, b, k))
    assert error["gaussian"] == pytest.approx(77.5, rel=1e-3)
    assert error["tree"] == pytest.approx(15.7, rel=1e-3)
    assert error["banded"] == pytest.approx(8.85, rel=1e-3)
    assert error["banded"] < error["blt"] < 1.05 * error["banded"]
