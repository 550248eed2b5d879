"""Every mechanism as a stream against its dense matrix, and its cost against exhaustive search."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.linalg import toeplitz

from server_strategy.privacy.accounting import gaussian_rho
from server_strategy.privacy.ledger import ParticipationLog, privacy_spent
from server_strategy.privacy.mechanisms import (
    MECHANISMS,
    make_mechanism,
    mechanism_from_parameters,
    mechanism_parameters,
)
from server_strategy.privacy.plan import PrivacyPlan

CASES = [(name, None) for name in MECHANISMS] + [("tree", 5), ("tree", 8)]


def make(name, restart=None, rounds=24, b=5, k=4, momentum=0.0):
    return make_mechanism(name, rounds, b, k, restart_every=restart, momentum=momentum)


def encoder(mechanism, rounds):
    """The matrix C whose product with the updates is what is released, written down densely."""
    if mechanism.name == "gaussian":
        return np.eye(rounds)
    if mechanism.name == "tree":
        return np.array([row for row, _ in tree_rows(rounds, mechanism.restart_every or rounds)])
    if mechanism.name == "banded":
        column = np.zeros(rounds)
        column[: len(mechanism.coefficients)] = mechanism.coefficients[:rounds]
        return np.tril(toeplitz(column))
    decay, scale = np.array(mechanism.buffer_decay), np.array(mechanism.output_scale)

    def column_of(length):
        return np.array([1.0, *(sum(scale * decay ** (t - 1)) for t in range(1, length))])

    return np.tril(toeplitz(column_of(rounds))) / np.linalg.norm(column_of(mechanism.rounds))


def tree_rows(rounds, restart):
    """(row of C, (round in which the node is complete, its height)), in the order in which nodes are drawn."""
    for t in range(rounds):
        start = t // restart * restart
        leaves = t - start + 1
        height = 0
        while leaves % 2**height == 0:
            row = np.zeros(rounds)
            row[t + 1 - 2**height : t + 1] = 1
            yield row, (t, height)
            height += 1


def residual_of_draws(mechanism, rounds):
    """Densely: the matrix that turns the draws into the noise of each release."""
    matrix = encoder(mechanism, rounds)
    if mechanism.name != "tree":
        return np.linalg.inv(matrix)
    restart = mechanism.restart_every or rounds
    sums = np.zeros((rounds, len(matrix)))  # noise in the sum of rounds 1 to t, by least squares on each tile
    for t in range(rounds):
        for start in range(0, t + 1, restart):
            begin, end = start, min(start + restart, t + 1)
            while begin < end:
                leaves = 2 ** ((end - begin).bit_length() - 1)
                under = [
                    i for i, row in enumerate(matrix) if row.any() and row[begin : begin + leaves].sum() == row.sum()
                ]
                part = matrix[np.ix_(under, range(begin, begin + leaves))]
                weights = np.ones(leaves) @ np.linalg.inv(part.T @ part) @ part.T
                sums[t, under] += weights
                begin += leaves
    return np.diff(sums, axis=0, prepend=0)


def play(mechanism, rounds, size, seed=0):
    """(noise of each release, the draws in order)."""
    rng, draws, stream = np.random.default_rng(seed), [], mechanism.stream()

    def draw(level):
        draws.append(rng.standard_normal(size))
        return draws[-1]

    return np.array([stream.next(draw) for _ in range(rounds)]), np.array(draws)


@pytest.mark.parametrize(("name", "restart"), CASES)
@pytest.mark.parametrize("rounds", [1, 2, 7, 24])
def test_the_stream_is_the_dense_matrix(name, restart, rounds):
    mechanism = make(name, restart)
    noise, draws = play(mechanism, rounds, 3)
    np.testing.assert_allclose(noise, residual_of_draws(mechanism, rounds) @ draws, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(("name", "restart"), CASES)
def test_errors_are_those_of_the_dense_matrix(name, restart):
    mechanism = make(name, restart)
    sums = np.cumsum(residual_of_draws(mechanism, 24), axis=0)
    np.testing.assert_allclose(mechanism.sum_errors(24), (sums**2).sum(1), rtol=1e-9)


@pytest.mark.parametrize(("name", "restart"), CASES)
def test_empirical_covariance_over_rounds(name, restart):
    # 40,000 coordinates: an entry's standard error is below 1 % of the diagonal's largest.
    mechanism = make(name, restart)
    noise, _ = play(mechanism, 16, 40_000, seed=1)
    residual = residual_of_draws(mechanism, 16)
    expected = residual @ residual.T
    errors = np.abs(noise @ noise.T / noise.shape[1] - expected)
    scale = np.sqrt((np.outer(np.diag(expected), np.diag(expected)) + expected**2) / noise.shape[1])
    assert (errors / scale).max() < 4.5  # standard errors; 136 different entries
    # And not by being far too loose: another mechanism's matrix does not pass.
    assert name == "gaussian" or (np.abs(expected - np.eye(16)) / scale).max() > 20


@pytest.mark.parametrize(("name", "restart"), CASES)
@pytest.mark.parametrize("cut", [0, 1, 6, 13])
def test_a_stream_goes_on_from_its_state_bit_for_bit(name, restart, cut):
    mechanism = make(name, restart)
    draws = np.random.default_rng(3).standard_normal((24, 8, 4))  # [release, level, size]
    straight, first, second = (mechanism.stream() for _ in range(3))
    expected = [straight.next(lambda level, t=t: draws[t, level]) for t in range(24)]
    for t in range(cut):
        first.next(lambda level, t=t: draws[t, level])
    second.load_state({name: np.array(value) for name, value in first.state().items()})
    for t in range(cut, 24):
        np.testing.assert_array_equal(second.next(lambda level, t=t: draws[t, level]), expected[t])


@pytest.mark.parametrize(("name", "restart"), CASES)
def test_memory_is_what_is_said(name, restart):
    mechanism, stream = make(name, restart), None
    stream = mechanism.stream()
    most = 0
    for _ in range(24):
        stream.next(lambda level: np.zeros(5))
        most = max(most, sum(np.size(value) == 5 for value in stream.state().values()))
    assert most <= mechanism.vectors_of_memory


@pytest.mark.parametrize(("name", "restart"), CASES)
def test_parameters_are_enough(name, restart):
    mechanism = make(name, restart)
    assert mechanism_from_parameters(name, mechanism_parameters(mechanism)) == mechanism


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
    name, restart = case
    mechanism = make(name, restart, rounds=rounds, b=b, k=min(k, -(-rounds // b)))
    plan = PrivacyPlan(
        mechanism=name,
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
        parameters=mechanism_parameters(mechanism),
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
    name, restart = case
    mechanism = make(name, restart, rounds=rounds, b=b, k=min(k, -(-rounds // b)))
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
    for name in MECHANISMS:
        mechanism = make_mechanism(name, rounds, b, k)
        error[name] = np.sqrt(mechanism.sum_errors(rounds).mean() * mechanism.sensitivity_squared(rounds, b, k))
    assert error["gaussian"] == pytest.approx(77.5, rel=1e-3)
    assert error["tree"] == pytest.approx(15.7, rel=1e-3)
    assert error["banded"] == pytest.approx(8.85, rel=1e-3)
    assert error["banded"] < error["blt"] < 1.05 * error["banded"]


@pytest.mark.parametrize("name", ["banded", "blt"])
def test_one_participation_costs_what_it_does_with_independent_noise(name):
    assert make(name).sensitivity_squared(24, 24, 1) == pytest.approx(1.0)


@pytest.mark.parametrize("name", ["banded", "blt"])
def test_momentum_is_optimised_for(name):
    def error(mechanism):
        inverse = residual_of_draws(mechanism, 24)
        server = np.tril(toeplitz(np.cumsum(0.9 ** np.arange(24))))
        return ((server @ inverse) ** 2).sum() * mechanism.sensitivity_squared(24, 5, 4)

    assert error(make(name, momentum=0.9)) < error(make(name)) * 0.999


def test_bad_settings():
    with pytest.raises(ValueError, match=r"Expected bands <= min_separation 5. Found 6"):
        make_mechanism("banded", 24, 5, 4, bands=6)
    with pytest.raises(ValueError, match=r"Expected a mechanism of gaussian, tree, banded, blt. Found 'laplace'"):
        make_mechanism("laplace", 24, 5, 4)
    with pytest.raises(ValueError, match=r"Found 'laplace'"):
        mechanism_from_parameters("laplace", {})
