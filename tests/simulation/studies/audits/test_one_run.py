"""Bounds from one run: held to other implementations' values, to exact chances, and to the truth."""

import math
from itertools import product

import numpy as np
import pytest
import scipy.special
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

from server_strategy.privacy.accounting import epsilon_of_gaussian
from simulation.studies.audits.one_run import (
    Guesses,
    best_of,
    epsilon_at_least,
    guesses_both_ways,
    guesses_in_above,
    mu_at_least,
    p_value,
)
from typefleet.errors import InputError

N, DELTA, SIGNIFICANCE = 10_000, 1e-6, 0.05


def normals(shift):
    """N scores that are as normal as can be: the middles of N equally likely intervals."""
    return scipy.special.ndtri((np.arange(N) + 0.5) / N) + shift


def corners(shift):
    scores = np.concatenate([normals(shift), normals(0)])
    return guesses_in_above(scores, np.arange(2 * N) < N)


def largest(found, bound):
    """The best of many tests, whose bounds rise and then fall: ever nearer to where they are largest."""
    found, best = [one for one in found if one.guesses], 0
    for spacing in (32, 8, 2, 1):
        near = range(max(0, best - 4 * spacing), min(len(found), best + 4 * spacing + 1), spacing)
        tried = range(0, len(found), spacing) if spacing == 32 else near
        best = max(tried, key=lambda place: bound(found[place]))
    return bound(found[best])


# Ten thousand scores in and as many out, guesses of being in alone, on each corner of the hull of the ROC curve;
# delta 1e-6, significance 0.05 divided by the number of corners. Values of jax_privacy's tests.
@pytest.mark.parametrize(("shift", "expected"), [(1, 1.13346), (2, 2.311945), (4, 4.395568)])
def test_reference_values_against_epsilon_and_delta(shift, expected):
    found = corners(shift)
    each = SIGNIFICANCE / len(found)
    assert largest(found, lambda one: epsilon_at_least(one, DELTA, each)) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(("shift", "expected"), [(1, 2.164749), (4, 9.133752)])
def test_reference_values_against_gaussian_noise(shift, expected):
    found = corners(shift)
    each = SIGNIFICANCE / len(found)
    mu = largest(found, lambda one: mu_at_least(one, each))
    assert epsilon_of_gaussian(mu * mu / 2, DELTA) == pytest.approx(expected, rel=1e-5)


def test_nothing_to_tell_gives_nothing():
    found = corners(0)
    assert [one.guesses for one in found] == [0, 2 * N]
    assert best_of(found, lambda one: epsilon_at_least(one, DELTA)) == 0


@pytest.mark.parametrize(("m", "delta", "epsilon"), product([10, 300], [0, 1e-3, 0.1], [0, 0.7]))
def test_the_p_value_is_the_papers_sum(m, delta, epsilon):
    q = 1 / (1 + math.exp(-epsilon))
    for guesses, correct in ((1, 1), (9, 0), (9, 5), (10, 10)):
        pmf = scipy.stats.binom(guesses, q).pmf
        beta = sum(pmf(w) for w in range(correct, guesses + 1))
        alpha = max((sum(pmf(w) for w in range(correct - i, correct)) / i for i in range(1, correct + 1)), default=0)
        expected = min(beta + 2 * m * delta * alpha, 1)
        assert p_value(Guesses(m, guesses, correct), epsilon, delta) == pytest.approx(expected, abs=1e-12)


@settings(deadline=None, max_examples=40)
@given(st.integers(1, 400), st.floats(0, 1), st.floats(0, 1))
def test_more_right_guesses_never_say_less(m, share, right):
    guesses = max(1, round(share * m))
    correct = round(right * guesses)
    here, more = Guesses(m, guesses, correct), Guesses(m, guesses, min(correct + 1, guesses))
    assert epsilon_at_least(here, 1e-6) <= epsilon_at_least(more, 1e-6) + 1e-6
    assert mu_at_least(here) <= mu_at_least(more) + 1e-6
    assert epsilon_at_least(here, 1e-3) <= epsilon_at_least(here, 0) + 1e-6


def test_randomised_response_is_bounded_by_its_epsilon():
    """It is as bad as its epsilon allows: the bound is below, in all but the share of the significance, and near."""
    rng, epsilon, m = np.random.default_rng(3), 1.0, 2000
    right = rng.binomial(m, 1 / (1 + math.exp(-epsilon)), 400)
    bounds = np.array([epsilon_at_least(Guesses(m, m, int(v)), 0) for v in right])
    assert (bounds > epsilon).mean() < 0.09 and np.median(bounds) > 0.85


@pytest.mark.parametrize("mu", [0.5, 1.0, 2.0])
def test_gaussian_noise_is_bounded_by_its_mu(mu):
    rng, m, shares = np.random.default_rng(5), 1000, (0.05, 0.2, 0.5)
    found = []
    for _ in range(60):
        included = rng.random(m) < 0.5
        scores = rng.normal(0, 1, m) + mu * (included - 0.5)
        tests = guesses_both_ways(scores, included, shares)
        found.append(best_of(tests, lambda one: mu_at_least(one, SIGNIFICANCE / 3)))
    assert (np.array(found) > mu).mean() <= 0.05 and np.mean(found) > 0.4 * mu


def test_the_highest_are_guessed_in_and_the_lowest_out():
    scores = np.array([5.0, -3.0, 1.0, 0.0, -1.0, 2.0])
    included = np.array([True, True, False, True, False, False])
    assert guesses_both_ways(scores, included, (1 / 3, 1.0)) == [Guesses(6, 2, 1), Guesses(6, 6, 2)]
    assert guesses_in_above(scores, included)[1] == Guesses(6, 1, 1)


@pytest.mark.parametrize("wrong", [Guesses(3, 4, 1), Guesses(3, 2, 3), Guesses(3, 0, 0)])
def test_impossible_guesses_are_refused(wrong):
    for bound in (lambda one: epsilon_at_least(one, 0), mu_at_least):
        with pytest.raises(InputError, match="guesses: expected"):
            bound(wrong)


@pytest.mark.parametrize(
    ("scores", "included"), [([1.0], [True]), ([1.0, 2.0], [True]), ([1.0, math.nan], [True, False])]
)
def test_scores_that_are_none_are_refused(scores, included):
    with pytest.raises(InputError, match="scores"):
        guesses_both_ways(np.array(scores), np.array(included), (1.0,))
