"""Figures of membership against references of others' making, and limits against what they are limits of."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import quad, trapezoid
from scipy.stats import binomtest, norm

from server_strategy.privacy.accounting import epsilon_of_gaussian
from simulation.studies.audits.membership_scores import (
    EpsilonDelta,
    GaussianNoise,
    area_over_people,
    area_under_roc,
    balanced_accuracy,
    roc,
    true_positives_at,
)

few_values = st.lists(st.integers(-4, 4).map(float), min_size=1, max_size=40).map(np.array)  # with many ties
RATES = (0.01, 0.03, 0.1, 0.25, 0.5)


def labelled(members, others):
    return np.r_[np.ones(len(members)), np.zeros(len(others))], np.r_[members, others]


@given(few_values, few_values)
def test_the_area_is_that_of_scikit_learn(members, others):
    from sklearn.metrics import roc_auc_score  # here, since every process that collects tests would wait for it

    assert area_under_roc(members, others) == pytest.approx(roc_auc_score(*labelled(members, others)))


@given(few_values, few_values, st.sampled_from(RATES))
def test_true_positives_are_the_most_that_any_threshold_has(members, others, rate):
    found = true_positives_at(members, others, rate)
    if rate * len(others) < 1:
        assert found is None
        return
    from sklearn.metrics import roc_curve

    false, true, _ = roc_curve(*labelled(members, others), drop_intermediate=False)
    assert found.rate == pytest.approx(true[false <= rate + 1e-9].max())
    assert found.others_above / len(others) <= rate + 1e-9


@pytest.mark.parametrize(("members", "found"), [(1, 0), (1, 1), (30, 0), (30, 7), (30, 30), (400, 12)])
def test_the_interval_of_a_rate_is_clopper_and_pearsons(members, found):
    scores = np.r_[np.full(found, 9.0), np.full(members - found, -9.0)]
    one = true_positives_at(scores, np.arange(100) / 100, 0.01)
    exact = binomtest(found, members).proportion_ci(0.95, method="exact")
    assert (one.rate, one.low, one.high) == pytest.approx((found / members, exact.low, exact.high))


def test_of_too_few_others_a_rate_cannot_be_measured():
    scores = np.arange(999.0)
    assert true_positives_at(scores, scores, 0.001) is None
    assert true_positives_at(scores, np.arange(1000.0), 0.001).others_above == 1
    assert true_positives_at(np.zeros(0), scores, 0.01) is None


def test_the_threshold_lets_no_more_through_than_is_said_of_it():
    """Of normal scores its true rate is known; it is above what is said in one case in forty."""
    rng, above = np.random.default_rng(0), 0
    for _ in range(2000):
        others = rng.normal(size=150)
        found = true_positives_at(np.zeros(1), others, 0.02)
        above += norm.sf(np.sort(others)[-1 - found.others_above]) > found.most_false_positives
    assert 0.015 < above / 2000 < 0.036


def test_the_interval_of_the_area_holds_the_truth():
    rng, truth, held = np.random.default_rng(1), norm.cdf(1 / math.sqrt(2)), 0
    for _ in range(60):
        found = area_over_people(rng.normal(1, 1, 60), rng.normal(0, 1, 60))
        held += found.low <= truth <= found.high
        assert found.low <= found.mean <= found.high and found.number == 120
    assert 52 <= held <= 59


def test_balanced_accuracy_finds_nothing_where_there_is_nothing():
    """A threshold that were chosen on the people that it is measured on would find five points and more."""
    rng = np.random.default_rng(2)
    values = [balanced_accuracy(rng.normal(size=40), rng.normal(size=40)).mean for _ in range(60)]
    assert np.mean(values) == pytest.approx(0.5, abs=0.02)
    apart = balanced_accuracy(np.arange(30) + 100.0, np.arange(30.0))
    assert (apart.mean, apart.low, apart.high) == pytest.approx((1, 1, 1))
    assert balanced_accuracy(np.arange(30.0), np.arange(30) + 100.0).mean <= 0.5
    assert balanced_accuracy(np.zeros(1), np.zeros(5)) is None
    shifted = balanced_accuracy(rng.normal(2, 1, 3000), rng.normal(0, 1, 3000))
    assert shifted.low < norm.cdf(1) < shifted.high


@given(few_values, few_values)
def test_the_curve_rises_from_the_strictest_threshold_to_everybody(members, others):
    points = roc(members, others)
    false, true = np.array(points).T
    assert (np.diff(false) > 0).all() and (np.diff(true) >= 0).all() and points[-1] == (1, 1)
    for x, y in points[:-1]:
        assert y == pytest.approx(true_positives_at(members, others, x).rate)


# Limits -------------------------------------------------------------------------------------------------

LIMITS = [
    *(EpsilonDelta(epsilon, delta) for epsilon in (0.0, 0.3, 2.0, 8.0) for delta in (0.0, 1e-6, 0.1)),
    *(GaussianNoise(mu) for mu in (0.0, 0.5, 2.0)),
]


@pytest.mark.parametrize("limit", LIMITS, ids=str)
def test_area_and_accuracy_are_those_of_the_curve(limit):
    grid = np.linspace(1e-9, 1 - 1e-9, 20_001)
    curve = np.array([limit.true_positives(x) for x in grid])
    assert (curve >= grid - 1e-9).all() and (curve <= 1).all() and (np.diff(curve) >= -1e-12).all()
    assert limit.area == pytest.approx(trapezoid(curve, grid))
    assert limit.balanced_accuracy == pytest.approx((1 + (curve - grid).max()) / 2, abs=1e-4)


@pytest.mark.parametrize("limit", [one for one in LIMITS if isinstance(one, EpsilonDelta)], ids=str)
def test_the_limit_of_epsilon_and_delta_is_the_same_for_who_is_out_as_for_who_is_in(limit):
    """Wrong and right change places: the curve is its own mirror image."""
    for x in np.linspace(0, 1, 101):
        y = limit.true_positives(x)
        if y < 1:
            assert limit.true_positives(1 - y) == pytest.approx(1 - x, abs=1e-9)


@pytest.mark.parametrize("mu", [0.1, 0.5, 1.0, 3.0])
@pytest.mark.parametrize("delta", [1e-9, 1e-5, 1e-2])
def test_gaussian_noise_is_below_the_limit_of_its_epsilon_and_touches_it(mu, delta):
    epsilon = epsilon_of_gaussian(mu * mu / 2, delta)
    noise, limit = GaussianNoise(mu), EpsilonDelta(epsilon, delta)
    for x in np.geomspace(1e-14, 0.999, 500):
        assert noise.true_positives(x) <= limit.true_positives(x) + 1e-9
    tangent = float(norm.sf(epsilon / mu + mu / 2))
    assert noise.true_positives(tangent) == pytest.approx(limit.true_positives(tangent), rel=1e-5)


def test_the_area_of_gaussian_noise_is_an_integral():
    area, _ = quad(lambda x: float(norm.cdf(norm.ppf(x) + 1.3)), 0, 1)
    assert GaussianNoise(1.3).area == pytest.approx(area, abs=1e-6)


# The Adversarial Robustness Toolbox, where it is installed ---------------------------------------------------


def test_true_positives_are_those_of_the_adversarial_robustness_toolbox():
    art = pytest.importorskip("art.metrics.privacy.worst_case_mia_score", reason="the extra `art` is not installed")
    rng = np.random.default_rng(3)
    for shift, people in ((0.0, 300), (0.5, 700), (2.0, 1500)):
        members, others = rng.normal(shift, 1, people), rng.normal(0, 1, people)
        labels, scores = labelled(members, others)
        for rate in (0.001, 0.01, 0.1):
            ((false, true, _),) = art.get_roc_for_fpr(scores, labels, targeted_fpr=rate)
            found = true_positives_at(members, others, rate)
            if found is None:  # where it can only say what nobody who is wrong could say
                assert false == 0
                continue
            assert false <= rate and true <= found.rate  # it looks at the corners of the curve alone
            if false > 0:
                assert true_positives_at(members, others, false).rate == pytest.approx(true)
