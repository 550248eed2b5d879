"""Counterfactuals of sampling: against the library, dense matrices, and what they must be at their ends."""

import itertools
import math

import dp_accounting
import numpy as np
import pytest

from server_strategy.privacy.accounting import epsilon_if_poisson, epsilon_of_gaussian, gaussian_rho
from server_strategy.privacy.amplification import counterfactual, has_counterfactual
from server_strategy.privacy.config import PrivacyConfig
from tests.server_strategy.privacy.mechanisms.dense import PRIVATE, encoder, make


def of(mechanism, z=1.0, cohort=10, population=1000, rounds=24, delta=1e-6):
    return counterfactual(mechanism, z, cohort=cohort, population=population, rounds=rounds, delta=delta)


def test_independent_noise_is_poisson_sampled():
    found = of(make("gaussian"), cohort=100, population=342477, rounds=2000)
    assert found.sampling == "Poisson" and found.epsilon == pytest.approx(0.0671, rel=1e-2)  # dp-accounting 0.4.3
    assert found.epsilon == epsilon_if_poisson(1.0, 100 / 342477, 2000, 1e-6)


def test_banded_noise_costs_no_more_than_its_dense_matrix_does():
    """Cyclic Poisson sampling played out: the phone is in every subset of its group's rounds, by its chance."""
    rounds, bands, z, share, epsilon = 6, 2, 0.8, 0.3, 0.8
    mechanism = make("banded", rounds, bands, 3, bands=bands)
    columns = encoder(mechanism, rounds).T
    shifts, chances = [], []
    for present in itertools.product([0, 1], repeat=rounds // bands):
        shifts.append(
            sum((columns[bands * turn] for turn in range(rounds // bands) if present[turn]), np.zeros(rounds))
        )
        chances.append(math.prod(share if there else 1 - share for there in present))
    shifts, chances = np.array(shifts), np.array(chances)
    rng = np.random.default_rng(5)
    noise = z * rng.standard_normal((40_000, rounds))
    seen = noise + shifts[rng.choice(len(chances), len(noise), p=chances)]
    ratio = (
        np.exp((seen @ shifts.T - np.sum(shifts**2, axis=1) / 2) / z**2) @ chances
    )  # of the densities, with to without
    excess = np.maximum(0, 1 - np.exp(epsilon) / ratio)
    delta, error = excess.mean(), excess.std() / math.sqrt(len(excess))
    lower = of(mechanism, z, cohort=share / bands * 1000, rounds=rounds, delta=delta + 4 * error)
    upper = of(mechanism, z, cohort=share / bands * 1000, rounds=rounds, delta=delta - 4 * error)
    assert lower.sampling == "cyclic Poisson"
    assert lower.epsilon <= epsilon <= upper.epsilon  # the turn that begins first is the worst, so it is met exactly
    assert upper.epsilon - lower.epsilon < 0.12


# Noise multiplier, delta, rounds, share of a cohort in all phones, bands: epsilon by Renyi orders 1.5 to 32 of
# jax-privacy, as quoted in tests of banded noise under cyclic Poisson sampling for Opacus.
PUBLISHED = {
    (1.1, 1e-5, 120, 0.02, 10): 5.218712005463466,
    (0.8, 1e-6, 300, 0.01, 20): 11.943206607668474,
    (1.7, 1e-6, 10, 0.1, 10): 2.9271329403988107,  # everybody is asked once
}


@pytest.mark.parametrize("setting", PUBLISHED)
def test_cyclic_sampling_of_banded_noise_gives_the_published_figures(setting):
    z, delta, rounds, share, bands = setting
    found = of(make("banded", rounds, bands, 2, bands=bands), z, 1000 * share, 1000, rounds, delta)
    turn = dp_accounting.PoissonSampledDpEvent(found.share, dp_accounting.GaussianDpEvent(z))
    accountant = dp_accounting.rdp.RdpAccountant([1.5, 2, 3, 4, 8, 16, 32])
    accountant.compose(dp_accounting.SelfComposedDpEvent(turn, found.turns))
    assert accountant.get_epsilon(delta) == pytest.approx(PUBLISHED[setting], rel=1e-7)
    assert 0.7 * PUBLISHED[setting] < found.epsilon < PUBLISHED[setting]  # by privacy loss distributions, tighter


def test_at_its_ends_cyclic_sampling_is_what_it_has_to_be():
    mechanism = make("banded", 24, 6, 4)
    everyone = of(mechanism, cohort=100, population=600)  # each group of 100 is asked as a whole: nothing is random
    assert everyone.epsilon == pytest.approx(epsilon_of_gaussian(gaussian_rho(1.0, 4), 1e-6), rel=1e-3)
    assert of(mechanism, cohort=10).epsilon < everyone.epsilon
    one_band = make("banded", 24, 6, 4, bands=1)
    assert of(one_band).epsilon == pytest.approx(of(make("gaussian")).epsilon, rel=1e-6)
    few = of(mechanism, cohort=101, population=600)
    assert few.epsilon is None and "6 groups" in few.words


@pytest.mark.parametrize("mechanism", PRIVATE)
def test_where_no_result_is_known_it_is_said(mechanism):
    found = of(make(mechanism))
    assert has_counterfactual(make(mechanism)) == (mechanism in ("gaussian", "banded")) == (found.epsilon is not None)
    if found.epsilon is None:
        assert (
            found.sampling is None
            and f"no reduction to the sampled Gaussian mechanism is known for {mechanism}" in found.words
        )


def test_it_is_off_unless_asked_for():
    assert not PrivacyConfig().poisson_counterfactual
