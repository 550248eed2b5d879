"""Every claim against the divergence computed from the probabilities themselves."""

import math

import numpy as np
import pytest
from scipy import special, stats

from server_strategy.privacy.accounting import epsilon_by_rdp
from server_strategy.privacy.distributed_noise.accounting import (
    WHOLE_ORDERS,
    discrete_gaussians_rho,
    epsilon_of_whole_orders,
    skellam_rdp,
    tau,
)

ORDERS = (2, 3, 5, 8, 16, 32)


def log_of_sum(sigma, phones):
    """Logarithms of the probabilities of a sum of discrete Gaussians: [2 w + 1], by convolution."""
    width = int(14 * sigma) + 4
    one = np.exp(-(np.arange(-width, width + 1.0) ** 2) / (2 * sigma**2))
    one, together = one / one.sum(), np.ones(1)
    for _ in range(phones):
        together = np.convolve(together, one)
    with np.errstate(divide="ignore"):
        return np.log(together)


def log_skellam(variance, width):
    """The same of Skellam noise: exp(-mu) I_y(mu), by the hypergeometric series, which no tail is too small for."""
    y = np.abs(np.arange(-width, width + 1.0))
    series = np.log(special.hyp0f1(y + 1, variance**2 / 4))
    return -variance + y * math.log(variance / 2) - special.gammaln(y + 1) + series


def divergence(log_p, shift, order, within):
    """Renyi divergence of the probabilities shifted by so much from themselves, of the middle that matters."""
    middle = len(log_p) // 2
    at = np.arange(middle - within, middle + within + 1)
    return np.logaddexp.reduce(order * log_p[at - shift] + (1 - order) * log_p[at]) / (order - 1)


@pytest.mark.parametrize("phones", [1, 2, 3, 10])
@pytest.mark.parametrize("sigma", [0.5, 0.7, 1.0, 2.0])
def test_a_sum_of_discrete_gaussians_costs_no_more_than_is_claimed(sigma, phones):
    log_p, stddev = log_of_sum(sigma, phones), sigma * math.sqrt(phones)
    for shift in (1, 2):
        rho = discrete_gaussians_rho(sigma=sigma, phones=phones, l2_sensitivity=shift, l1_sensitivity=shift, size=1)
        for order in (1.5, 2, 4, 8):
            within = min(int(7 * stddev + order * shift), len(log_p) // 2 - shift)
            assert divergence(log_p, shift, order, within) <= order * rho * (1 + 1e-6) + 1e-12


@pytest.mark.parametrize("phones", [2, 3, 10])
@pytest.mark.parametrize("sigma", [0.5, 0.7, 1.0])
def test_half_of_tau_is_how_far_the_probabilities_are_from_one_discrete_gaussian(sigma, phones):
    log_p = log_of_sum(sigma, phones)
    stddev, middle = sigma * math.sqrt(phones), len(log_p) // 2
    values = np.arange(-middle, middle + 1.0)
    log_one = -(values**2) / (2 * stddev**2)
    log_one -= np.logaddexp.reduce(log_one)
    inside = np.abs(values) <= 4 * stddev
    apart = np.abs(log_p - log_one)[inside].max()
    assert 1e-7 < apart <= tau(sigma, phones) / 2


def test_the_series_is_the_distribution():
    np.testing.assert_allclose(log_skellam(9.0, 12), stats.skellam.logpmf(np.arange(-12, 13), 4.5, 4.5), rtol=1e-9)


@pytest.mark.parametrize("variance", [0.5, 1.0, 4.0, 25.0, 100.0])
@pytest.mark.parametrize("shift", [1, 2, 5])
def test_skellam_noise_costs_no_more_than_is_claimed(variance, shift):
    log_p = log_skellam(variance, int(60 * math.sqrt(variance)) + 400)
    for order in ORDERS:
        within = min(int(12 * math.sqrt(variance)) + 8 * order * shift, len(log_p) // 2 - shift)
        claimed = skellam_rdp(order, variance=variance, l2_sensitivity=shift, l1_sensitivity=shift)
        assert divergence(log_p, shift, order, within) <= claimed * (1 + 1e-9)


def test_the_skellam_bound_is_sharp_for_much_noise():
    exact = divergence(log_skellam(100.0, 1000), 1, 4, 300)
    assert skellam_rdp(4, variance=100.0, l2_sensitivity=1, l1_sensitivity=1) == pytest.approx(exact, rel=0.02)


@pytest.mark.parametrize("size", [1, 64, 4096])
@pytest.mark.parametrize("sigma", [0.5, 1.0, 2.0, 50.0])
def test_nothing_is_claimed_to_be_cheaper_than_central_noise_of_the_same_variance(sigma, size):
    for phones in (1, 2, 50):
        for l2 in (1.0, 7.5):
            sensitivities = dict(l2_sensitivity=l2, l1_sensitivity=min(l2 * math.sqrt(size), l2 * l2))
            variance, rho = phones * sigma**2, l2**2 / (2 * phones * sigma**2)
            assert discrete_gaussians_rho(sigma=sigma, phones=phones, size=size, **sensitivities) >= rho
            assert all(skellam_rdp(order, variance=variance, **sensitivities) > order * rho for order in ORDERS)


def test_the_cost_falls_with_the_noise_and_grows_with_what_a_phone_can_change():
    def rho(sigma=1.0, phones=10, l2=3.0, l1=9.0, size=64):
        return discrete_gaussians_rho(sigma=sigma, phones=phones, l2_sensitivity=l2, l1_sensitivity=l1, size=size)

    costs = [rho(sigma=sigma) for sigma in (0.5, 0.7, 1.0, 1.5, 4.0, 100.0)]
    assert costs == sorted(costs, reverse=True) and len(set(costs)) == len(costs)
    assert rho(l2=3.1) > rho() and rho(size=128) >= rho() and rho(l1=9.1) >= rho()

    def divergences(variance=4.0, l2=3.0, l1=9.0):
        return [skellam_rdp(order, variance=variance, l2_sensitivity=l2, l1_sensitivity=l1) for order in ORDERS]

    assert divergences() == sorted(divergences())
    for more in (divergences(variance=3.9), divergences(l2=3.1), divergences(l1=9.1)):
        assert all(one >= other for one, other in zip(more, divergences(), strict=True))


def test_epsilon_of_whole_orders_is_never_below_that_of_all_orders():
    for rho in (1e-4, 0.01, 0.3, 2.0, 9.0):
        whole = epsilon_of_whole_orders(lambda order, rho=rho: order * rho, 1e-6)
        assert whole >= epsilon_by_rdp(rho, 1e-6)
        assert whole == pytest.approx(epsilon_by_rdp(rho, 1e-6), rel=0.02 if rho < 1 else 0.2)
    from dp_accounting.rdp.rdp_privacy_accountant import DEFAULT_RDP_ORDERS

    assert tuple(order for order in DEFAULT_RDP_ORDERS if order == int(order)) == WHOLE_ORDERS


@pytest.mark.parametrize(("sigma", "least"), [(2, 0.7), (5, 0.85)])  # Skellam noise has longer tails
def test_loss_distributions_of_dp_accounting_stay_below(sigma, least):
    from dp_accounting.pld import privacy_loss_distribution as pld

    alone = pld.from_discrete_gaussian_mechanism(sigma, sensitivity=1).self_compose(8)
    rho = discrete_gaussians_rho(sigma=sigma, phones=1, l2_sensitivity=1, l1_sensitivity=1, size=1)
    exact, claimed = alone.get_epsilon_for_delta(1e-5), epsilon_by_rdp(8 * rho, 1e-5)
    assert 0.85 * claimed < exact <= claimed

    width = 40 * sigma
    probability = dict(enumerate(log_skellam(sigma**2, width), start=-width))
    shifted = {value + 1: log for value, log in probability.items()}
    pair = pld.from_two_probability_mass_functions(probability, shifted, pessimistic_estimate=False)
    exact = pair.self_compose(8).get_epsilon_for_delta(1e-5)

    def of_eight(order):
        return 8 * skellam_rdp(order, variance=sigma**2, l2_sensitivity=1, l1_sensitivity=1)

    claimed = epsilon_of_whole_orders(of_eight, 1e-5)
    assert least * claimed < exact <= claimed


def test_what_no_theorem_covers_is_refused():
    with pytest.raises(ValueError, match=r"sigma: expected a number >= 0\.5"):
        tau(0.49, 3)
    for order in (1, 0, 2.5):
        with pytest.raises(ValueError, match="order: expected a whole number > 1"):
            skellam_rdp(order, variance=1.0, l2_sensitivity=1.0, l1_sensitivity=1.0)
