"""Estimates where scores are normal: against numbers computed in other ways, and against the truth."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import integrate, stats

from server_strategy.privacy.accounting import epsilon_of_gaussian
from simulation.studies.audits.gaussian_estimate import (
    Normal,
    epsilon_of_mu,
    epsilon_of_two_normals,
    fit,
    least_squares,
    shift_ratio,
    through,
)
from typefleet.errors import InputError


@settings(deadline=None, max_examples=30)
@given(st.floats(0.05, 6), st.sampled_from([1e-2, 1e-6, 1e-9]), st.floats(-3, 3), st.floats(0.1, 10))
def test_normals_of_one_deviation_are_the_gaussian_mechanism(mu, delta, mean, deviation):
    out, in_ = Normal(mean, deviation), Normal(mean + mu * deviation, deviation)
    exact = epsilon_of_gaussian(mu * mu / 2, delta)
    assert epsilon_of_two_normals(out, in_, delta) == pytest.approx(exact, rel=1e-6, abs=1e-7)
    assert epsilon_of_two_normals(in_, out, delta) == pytest.approx(exact, rel=1e-6, abs=1e-7)
    assert epsilon_of_mu(mu, delta) == exact


@pytest.mark.parametrize("in_", [Normal(1, 0.6), Normal(0.5, 1.5), Normal(2, 1.05), Normal(0, 2), Normal(0, 0.5)])
def test_epsilon_of_two_normals_gives_delta_again(in_):
    """By integrating max(p - e^eps q, 0), which knows nothing of where one exceeds the other."""
    delta, out = 1e-3, Normal(0, 1)
    epsilon = epsilon_of_two_normals(out, in_, delta)
    x = np.linspace(-12, 12, 400_001)
    found = []
    for p, q in ((out, in_), (in_, out)):
        gap = stats.norm.pdf(x, *p) - math.exp(epsilon) * stats.norm.pdf(x, *q)
        found.append(integrate.simpson(np.maximum(gap, 0), x=x))
    assert max(found) == pytest.approx(delta, rel=1e-3)


def test_a_huge_mu_has_a_finite_epsilon_and_none_has_0():
    assert epsilon_of_mu(1e5, 1e-9) == 5e9 and epsilon_of_mu(0, 1e-9) == epsilon_of_mu(-3, 1e-9) == 0
    assert epsilon_of_two_normals(Normal(0, 1), Normal(0, 1), 1e-6) == 0


def test_the_ratio_of_shifts_is_found_with_an_interval_that_holds_it():
    rng, ratio, inside = np.random.default_rng(1), 1.7, 0
    for _ in range(200):
        shift, included = rng.uniform(0.2, 1.5, 300), rng.random(300) < 0.5
        scores = 3 * (rng.normal(0, 1, 300) + ratio * shift * included)
        found = shift_ratio(scores, 3 * shift, included)
        inside += found.low <= ratio <= found.high
        assert found.low < found.value < found.high
    assert inside >= 193  # of 99 %
    assert through(found, lambda x: 2 * x).high == 2 * found.high


def test_a_regressor_beside_another_has_the_factor_of_numpys_least_squares():
    rng = np.random.default_rng(2)
    x, beside, y = rng.normal(0, 1, (3, 50))
    factors, left, *_ = np.linalg.lstsq(np.stack([x, beside], 1), y, rcond=None)
    found = least_squares(x, y, beside)
    covariance = np.linalg.inv(np.stack([x, beside]) @ np.stack([x, beside], 1)) * left[0] / 48
    assert found.value == pytest.approx(factors[0])
    assert found.high - found.value == pytest.approx(stats.norm.ppf(0.995) * math.sqrt(covariance[0, 0]))


def test_groups_that_are_empty_are_refused():
    for included in (np.ones(3, bool), np.zeros(3, bool)):
        with pytest.raises(InputError, match="some that are in"):
            shift_ratio(np.zeros(3), np.ones(3), included)
    with pytest.raises(InputError, match="at least 2"):
        fit(np.zeros(1))
    assert fit(np.array([1.0, 3.0])) == Normal(2, math.sqrt(2))
